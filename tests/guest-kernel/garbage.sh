# SPDX-License-Identifier: Apache-2.0
# garbage.sh - programs of the garbage kernel as tests; sourced behind common.sh
# shellcheck shell=bash disable=SC2154

# As one of the compiled guest programs, or made here.
garbage_kernel=${TEST_BIN:-$T}/garbage.elf
[ -e "$garbage_kernel" ] || {
	garbage_kernel=$T/garbage.elf
	"$TEST_DIR/guest-kernel/build.sh" "$T" || exit 99
}

# garbage_programs FIRST COUNT [MAYFLY]: fills $T/garbage; $programs, $bad, $odd, $reached, $left
garbage_programs() {
	"$TEST_DIR/guest-kernel/garbage.py" --kernel "$garbage_kernel" --mayfly "${3:-$MAYFLY}" \
		--first "$1" --count "$2" >"$T/garbage" 2>&1
	programs=$(garbage_number programs) bad=$(garbage_number bad)
	odd=$(garbage_number odd) reached=$(garbage_number reached) left=$(garbage_number left)
}
# The last value of a key.
garbage_number() { grep -oE "\b$1=[0-9]+" "$T/garbage" | tail -n 1 | cut -d = -f 2; }

# garbage_tests FIRST COUNT: each ends as it must, nothing stays, and the devices did work for it
garbage_tests() {
	local key t0 n new
	inventory >"$T/before"
	t0=$(now_ms)
	garbage_programs "$1" "$2"
	is "${programs:-none}/${bad:-none}" "$2/0" \
		"$2 programs from number $1 on: each has its own verdict, in time, with little log and memory"
	grep -E '^(bad|odd)' "$T/garbage" | head -n 20 | sed 's/^/# /'
	[ -n "$programs" ] || tail -n 5 "$T/garbage" | sed 's/^/# /'
	below "${odd:-99}" $((2 + $2 / 200)) "few crash after their last step (${odd:-?})"
	diag "measured: $2 programs in $((($(now_ms) - t0) / 1000)) s"
	is "$left" 0 "no process outlives them"
	if new=$(compare_inventory "$T/before"); then pass "nor does anything else"; else
		fail "nor does anything else"
		diag "$new"
	fi
	n=$(($2 * 3 / 4))
	yes_if "most come to their own end ($reached of $2)" [ "${reached:-0}" -ge "$n" ]
	diag "measured: the guests $(tail -n 1 "$T/garbage")"
	# What the guests have seen, a floor for each hundred programs.
	while read -r key n; do
		below "$((n * $2 / 100))" "$(($(garbage_number "$key" || echo 0) + 1))" \
			"the guests saw $key often enough ($(garbage_number "$key"))"
	done <<-END
		status 800
		refused 80
		started 200
		broken 100
		inflight 100
		used 600
		fs_ok 20
		fs_error 200
		vsock_rst 150
		vsock_open 8
		vsock_data 2
		rng 30
		console 15
		second 300
	END
}
