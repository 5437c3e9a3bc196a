# SPDX-License-Identifier: Apache-2.0
# What a caller may hand down: limits, masks, ignored signals, descriptors, odd ways to be started
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
run=("$MAYFLY" run --engine "$MAYFLY_ENGINE")
# by COMMAND-PREFIX... -- ARGUMENTS: a run that something else starts
by() {
	local prefix=() t0
	while [ "$1" != -- ]; do prefix+=("$1"); shift; done
	shift
	t0=$(now_ms)
	timeout -k 5 "$(scaled 30)" "${prefix[@]}" "${run[@]}" --status-fd 9 "$@" </dev/null >"$T/out" 2>"$T/err" 9>"$T/verdict"
	rc=$? ms=$(($(now_ms) - t0))
}
for s in CHLD PIPE INT TERM; do
	by perl -e '$SIG{shift @ARGV} = "IGNORE"; exec @ARGV' $s -- -- sh -c 'echo hi; exit 4'
	is "$rc/$(out)" "4/hi" "SIG$s ignored by the caller"
	soon "$ms" 8000 "no delay by that ($ms ms)"
done
by /usr/bin/python3 -c 'import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])' -- -- sh -c 'grep SigBlk /proc/self/status; kill -TERM $$; sleep 5'
is "$rc" 143 "all signals blocked by the caller: the command's are not"
for mask in 0777 0000 0077; do
	(umask $mask && "${run[@]}" -- sh -c 'umask; echo ran' </dev/null >"$T/out.$mask" 2>"$T/err.$mask"
		echo $? >"$T/rc.$mask")
	chmod 600 "$T"/{out,err,rc}.$mask
	cp "$T/err.$mask" "$T/err" && cp "$T/out.$mask" "$T/out"
	is "$(cat "$T/rc.$mask")/$(tail -n 1 "$T/out.$mask")" "0/ran" "umask $mask"
done
(ulimit -n 256 && by -- -- sh -c 'ls /usr/bin | wc -l' && echo $rc >"$T/rc")
is "$(cat "$T/rc")" 0 "a limit of 256 descriptors is enough"
(ulimit -n 20 && by -- -- true && echo $rc >"$T/rc")
like "$(cat "$T/rc")" "^(0|125)$" "with 20 it works or says why"
[ "$(cat "$T/rc")" = 0 ] || isnt "$(err)" "" "in a message"
got=$( (ulimit -f 100 && "${run[@]}" -- true </dev/null 2>&1; echo "status $?") | tail -n 3)
like "$got" "status (0|125)" "a limit of file sizes: it works or says why"
like "$got" "status 0|mayfly: ." "in a message"
(ulimit -c unlimited && by -- -- sh -c 'kill -SEGV $$' && echo $rc >"$T/rc")
is "$(cat "$T/rc")/$(find . -name 'core*' | wc -l)" "139/0" "a guest's crash writes no core file here"

# A descriptor that is open in the caller is neither the guest's nor in the way.
exec 50<"$MAYFLY" 88<"$MAYFLY" 52<"$MAYFLY" 10<"$MAYFLY"
by -- -- sh -c 'ls /proc/self/fd | wc -l'
is "$rc/$(out)" "0/4" "open descriptors of the caller do not matter"
exec 50<&- 88<&- 52<&- 10<&-
timeout "$(scaled 30)" "${run[@]}" -- cat </ >"$T/out" 2>"$T/err"
rc=$?
like "$rc" "^(0|1|125)$" "a directory as standard input ends ($rc)"
echo first >appended
timeout "$(scaled 30)" "${run[@]}" -- echo second >>appended 2>"$T/err" </dev/null
is "$(tr '\n' ' ' <appended)" "first second " "output is appended where the caller said so"
printf 'a\nb\nc\n' >three
(read -r x; timeout "$(scaled 30)" "${run[@]}" -- cat; echo "first $x") <three >"$T/out" 2>"$T/err"
is "$(tr '\n' ' ' <"$T/out")" "b c first a " "input is read from where the caller left it"

# Flags of descriptors that others share are as before afterwards.
cat >flags.py <<'PY'
import fcntl, os, subprocess, sys
def flags(fd): return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
r, w = os.pipe(); r2, w2 = os.pipe()
p = subprocess.Popen(sys.argv[1:], stdin=r, stdout=w2)
os.write(w, b"x\n"); os.read(r2, 1)
during = flags(r), flags(w2)
os.close(w); p.wait()
print("during=%d,%d" % during); print("after=%d,%d" % (flags(r), flags(w2)))
PY
timeout "$(scaled 30)" /usr/bin/python3 flags.py "${run[@]}" -- cat >"$T/out" 2>"$T/err"
guest_is after 0,0 "pipes shared with the caller are blocking as before"
diag "measured: O_NONBLOCK on the caller's pipes during the run: $(val during)"

ln -s "$MAYFLY" link
timeout "$(scaled 30)" ./link run --engine "$MAYFLY_ENGINE" -- echo hi >"$T/out" 2>"$T/err" </dev/null
is "$(out)" hi "started through a symbolic link"
(cd "$(dirname "$MAYFLY")" && timeout "$(scaled 30)" ./mayfly run --no-cwd --engine "$MAYFLY_ENGINE" -- echo hi >"$T/out" 2>"$T/err" </dev/null)
is "$(out)" hi "started by a relative path"
mkdir -p inst/bin inst/lib/mayfly
cp -r "$(dirname "$MAYFLY")/guest" inst/lib/mayfly/guest 2>/dev/null
cp "$(dirname "$MAYFLY")"/mayfly-* inst/lib/mayfly/ && cp "$MAYFLY" inst/bin/
timeout "$(scaled 30)" inst/bin/mayfly run --engine "$MAYFLY_ENGINE" -- echo hi >"$T/out" 2>"$T/err" </dev/null
is "$(out)" hi "installed as bin and lib/mayfly"
rm inst/lib/mayfly/mayfly-vmm
timeout "$(scaled 30)" inst/bin/mayfly run --engine "$MAYFLY_ENGINE" -- echo hi >"$T/out" 2>"$T/err" </dev/null
is "$?" 125 "half an installation: 125"
like "$(err)" "mayfly-vmm" "the message names what is missing"
rm -rf inst
mkdir etmp
env -i TMPDIR="$W/etmp" "${run[@]}" -- sh -c 'echo "$PATH" | grep -c bin' </dev/null >"$T/out" 2>"$T/err"
is "$?/$(out)" "0/1" "an empty environment"

if is_root; then
	skip "root's state is in /run" "without XDG_RUNTIME_DIR"
else
	mkdir tmp
	env -u XDG_RUNTIME_DIR TMPDIR="$W/tmp" "${run[@]}" -- echo hi </dev/null >"$T/out" 2>"$T/err"
	is "$(out)" hi "without XDG_RUNTIME_DIR"
	is "$(stat -c %a tmp/mayfly-* 2>/dev/null)" 700 "its state directory is the user's alone"
	rm -rf tmp/mayfly-* && mkdir -m 777 "tmp/mayfly-$(id -u)"
	env -u XDG_RUNTIME_DIR TMPDIR="$W/tmp" timeout "$(scaled 30)" "${run[@]}" -- echo hi </dev/null >"$T/out" 2>"$T/err"
	is "$?" 125 "one that others can write to is refused"
	rm -rf tmp/mayfly-* && ln -s "$W" "tmp/mayfly-$(id -u)"
	env -u XDG_RUNTIME_DIR TMPDIR="$W/tmp" timeout "$(scaled 30)" "${run[@]}" -- echo hi </dev/null >"$T/out" 2>"$T/err"
	is "$?" 125 "a symbolic link in its place, too"
	env XDG_RUNTIME_DIR=/not/there timeout "$(scaled 30)" "${run[@]}" -- echo hi </dev/null >"$T/out" 2>"$T/err"
	like "$?" "^(0|125)$" "XDG_RUNTIME_DIR that is not there"
fi

## Many shares, nested and double ones
shares=()
for ((i = 0; i < 64; i++)); do mkdir "s$i" && echo "$i" >"s$i/f" && shares+=(--share "$W/s$i:/m/$i"); done
vm "${shares[@]}" -- sh -c 'cat /m/*/f | wc -l; cat /m/63/f'
is "$rc/$(out | tr '\n' ' ')" "0/64 63 " "64 shares"
vm "${shares[@]}" --share "$W/s0:/m/64" -- true
is "$rc" 125 "65 shares are refused"
like "$(err)" "64|too many" "with a message"
vm --share "$W/s1:/m" --share "$W/s2:/m/sub" -- sh -c 'cat /m/f'
like "$rc/$(out)/$(err)" "^(0/1/|125//.)" "a share within a share works or is refused clearly"
vm --share "$W/s1:/usr/share/new" --share "$W/s2:$W/three2" -- sh -c 'cat /usr/share/new/f three2/f'
is "$(out | tr '\n' ' ')" "1 2 " "shares within the system view and the current directory"

done_testing
