# SPDX-License-Identifier: Apache-2.0
# Which engine runs a command, and what is said when it can't
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"

# The timings have a key of the same name.
engine() { jq -r .engine "$T/verdict"; }

vm -- true
is "$rc" 0 "a run with --engine $MAYFLY_ENGINE"
is "$(engine)" "$MAYFLY_ENGINE" "the verdict says so"

# auto decides by a probe and remembers its verdict. Where the clock of an emulated machine makes
# the probe say no, tcg would run in it for minutes: the choice is looked at, not its run.
auto() {
	timeout -k 5 "$(scaled 60)" "$MAYFLY" run -v --status-fd 9 "$@" -- true \
		</dev/null >"$T/out" 2>"$T/err" 9>"$T/verdict"
	rc=$?
}
if [ "$MAYFLY_ENGINE" = tcg ]; then auto; else auto --boot-timeout "$(scaled 5)s"; fi
first=$(engine)
if [ "$first" = kvm ]; then
	is "$rc" 0 "a run with the engine that mayfly chooses"
	like "$(err)" "engine kvm: kernel-mode code runs at full speed" "it says why it chose kvm"
elif [ "$MAYFLY_ENGINE" = kvm ]; then
	like "$(err)" "engine tcg: .*(interpreted|too slow): .* took [0-9.]* ms" "it says why it chose tcg"
	skip "the probe measured an emulated CPU on a busy host" "where KVM works it is chosen"
else
	is "$rc" 0 "a run with the engine that mayfly chooses"
	like "$(err)" "engine tcg: .*(interpreted|too slow|/dev/kvm|KVM)" "it says why it chose tcg"
	auto
	is "$(engine)" "$first" "and chooses the same again"
fi
if [ "$MAYFLY_ENGINE" = kvm ]; then
	# No QEMU anywhere.
	mkdir bin
	PATH=$W/bin "$MAYFLY" run --engine kvm -- /bin/true >"$T/out" 2>"$T/err" </dev/null
	is "$?" 0 "kvm needs no QEMU"
fi

done_testing
