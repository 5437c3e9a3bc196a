# SPDX-License-Identifier: Apache-2.0
# boot.sh - what scenarios of `mayfly boot` share; sourced behind common.sh
# shellcheck shell=bash disable=SC2034,SC2153,SC2154

GUEST_DIR=$(dirname "$MAYFLY")/guest

# An initramfs of tests/guest/boot_report.c, which says what there is to say on its command line.
report_image() { # FILE
	guest_programs boot_report && "$TEST_DIR/../init/mkcpio.sh" boot_report "$1"
}

# boot OPTION...: one machine; sets rc and ms, fills $T/out, $T/err, $T/verdict as vm does.
boot() {
	local t0
	t0=$(now_ms)
	timeout -k 5 "$(scaled "${VM_LIMIT:-60}")" "$MAYFLY" boot --engine "$MAYFLY_ENGINE" --status-fd 9 "$@" \
		<"${VM_IN:-/dev/null}" >"$T/out" 2>"$T/err" 9>"$T/verdict"
	rc=$?
	ms=$(($(now_ms) - t0))
}
# What the guest reported under a name, one line each.
report() { tr -d '\r' <"$T/out" | sed -n "s/^REPORT $1=//p"; }
# ended STATUS REASON DESCRIPTION
ended() { is "$rc/$(verdict reason)" "$1/$2" "$3"; }
# one_line PATTERN DESCRIPTION: mayfly said exactly one line, and that fits
one_line() {
	if [ "$(wc -l <"$T/err")" -eq 1 ] && [[ $(err) =~ ^mayfly:\ .*$1 ]]; then pass "$2"; else
		fail "$2"
		diag "pattern: $1"
	fi
}
# between NUMBER LOW HIGH DESCRIPTION
between() {
	if [[ $1 =~ ^[0-9]+$ ]] && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; then pass "$4 ($1)"; else
		fail "$4"
		diag "'$1' is not between $2 and $3"
	fi
}
