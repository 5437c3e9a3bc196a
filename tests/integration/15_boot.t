# SPDX-License-Identifier: Apache-2.0
# mayfly boot: kernel formats and protocols, how it ends, the console both ways
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
. "$TEST_DIR/lib/boot.sh"
report_image report.cpio || exit 99
inventory >"$T/before"
kvm=0
[ "$MAYFLY_ENGINE" = kvm ] && kvm=1
# What the kernel says its boot loader is: its own PVH code, or an unknown one.
PVH=176 UNKNOWN=255
first=("$MAYFLY" boot --engine "$MAYFLY_ENGINE" --initrd report.cpio)

# --- kernels and command lines ------------------------------------------------
boot --initrd report.cpio --append 'quiet x.y=1 -- word1 word2' --trace-exits
ended 0 guest-reset "mayfly's own kernel boots to its init and resets"
is "$(report console)/$(report cpus)" "ttyS0/1" "with a serial console and one CPU"
is "$(report loader)" $PVH "an ELF kernel with the note is entered by PVH"
between "$(report memory | tr -dc 0-9)" 960000 1048576 "KiB of memory"
if [ $kvm = 1 ]; then
	is "$(report argument)" $'word1\nword2' "what follows ' -- ' are init's arguments, and nothing else"
	like "$(err)" "mayfly: exits +until ready +in all.*port serial +0 +[1-9].*total +0 +[1-9]" \
		"--trace-exits prints the table"
	like "$(<"$T/verdict")" '"exits":.*"port serial":\{"until_ready":0,"total":[1-9]' "the verdict has it, too"
	unlike "$(err)" "note|error|warn" "and there is nothing else to say"
else
	is "$(report argument | head -n 2)" $'word1\nword2' "what follows ' -- ' are init's arguments"
	one_line "no exits were counted .*kvm engine" "--trace-exits says who has the table"
fi

if [ -e "$GUEST_DIR/bzImage" ]; then
	boot --kernel "$GUEST_DIR/bzImage" --initrd report.cpio --append quiet --cpus 4 --memory 128M
	ended 0 guest-reset "a bzImage boots"
	is "$(report cpus)" 4 "and finds 4 CPUs"
	between "$(report memory | tr -dc 0-9)" 90000 131072 "KiB of memory"
	is "$(err)" "" "nothing is on standard error"
	[ $kvm = 0 ] || is "$(report loader)" $UNKNOWN "it is entered by the Linux protocol"
else
	skip "this copy has no bzImage" "a bzImage boots"
fi

if [ $kvm = 1 ]; then
	boot --protocol linux --initrd report.cpio --append quiet
	ended 0 guest-reset "--protocol linux boots an ELF kernel"
	is "$(report loader)" $UNKNOWN "by the Linux protocol"
	boot --protocol pvh --initrd report.cpio --append 'quiet console=hvc0 reboot=t'
	is "$(report console | tr ' ' '\n' | grep -c hvc0)" 1 "console=hvc0 is the virtio console"
	is "$(report loader)" $PVH "--protocol pvh is what it says"
	ended 2 triple-fault "a guest that resets by a triple fault: 2"
	one_line "the guest crashed beyond recovery: triple fault" "one message says so"
fi

# --- how it ends --------------------------------------------------------------
boot --initrd report.cpio --append 'quiet crash'
ended 1 guest-panic "a panic: 1"
is "$(err)" "mayfly: the guest's kernel panicked: Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100" \
	"one message with the kernel's words"
like "$(out)" "REPORT kernel=.*Kernel panic - not syncing" "the console has it all"
boot --append quiet
ended 1 guest-panic "no initrd: the kernel finds no root and panics"
one_line "VFS: Unable to mount root|No working init found" "which the message says"

boot --initrd report.cpio --append 'quiet wait' --timeout 2s
ended 124 timeout "--timeout: 124"
soon "$ms" 5000 "within 3 s of it ($ms ms)"
one_line "timeout: " "one message says so"

: >"$T/verdict"
timeout "$(scaled 60)" /usr/bin/python3 "$TEST_DIR/lib/watch.py" --out "$T/out" --err "$T/err" --verdict "$T/verdict" \
	--limit "$(scaled 40)" --part mayfly --signal INT -- "${first[@]}" --status-fd 9 --append 'quiet wait' >"$T/watch"
for v in rc ms struck left; do printf -v $v %s "$(sed -n "s/^$v=//p" "$T/watch")"; done
like "$(out)" "REPORT started" "a guest that waits"
ended 130 interrupted "Ctrl-C ends it: 130"
soon "$ms" 2500 "at once ($ms ms)"
is "$struck/$left" "yes/" "and leaves no process"

# --- input ---------------------------------------------------------------------
seq -f 'line number %g of typed text that must not lose a byte' 20 >typed
echo end >>typed
# QEMU's serial port takes bytes that its guest then throws away while it starts.
mkfifo keys
: >"$T/out"
{ [ $kvm = 1 ] || wait_until 30 grep -q 'REPORT ask' "$T/out"; cat typed; } >keys &
VM_IN=keys boot --initrd report.cpio --append 'quiet ask'
ended 0 guest-reset "a guest that reads"
is "$(report typed)" "$(<typed)" "gets all of it, $([ $kvm = 1 ] && echo typed before it listened || echo in one piece)"
: >"$T/out"
{
	wait_until 30 grep -q 'REPORT ask' "$T/out" && echo hello
	wait_until 30 grep -q 'typed=hello' "$T/out" && echo end
} >keys &
VM_IN=keys boot --initrd report.cpio --append 'quiet ask'
is "$rc/$(report typed)" $'0/hello\nend' "a dialogue"

# --- output ---------------------------------------------------------------------
# Each byte costs an exit, which the rig makes dear.
lines=20000
[ "$MAYFLY_TIME_SCALE" -eq 1 ] || lines=200
timeout -k 5 "$(scaled 60)" "${first[@]}" --append "quiet flood=$lines" --status-fd 9 \
	2>"$T/err" 9>"$T/verdict" </dev/null | (sleep 2; cat) >"$T/out"
rc=${PIPESTATUS[0]}
ended 0 guest-reset "a flood of text to a slow reader"
is "$(tr -d '\r' <"$T/out" | grep ^line | sha256sum)" \
	"$(seq -f 'line %06.0f of a flood of text that must all arrive' 0 $((lines - 1)) | sha256sum)" "all $lines lines arrive"
t0=$(now_ms)
{
	timeout -k 5 "$(scaled 60)" "${first[@]}" --append "quiet flood=1000000" --status-fd 9 2>"$T/err" 9>"$T/verdict" </dev/null
	echo $? >"$T/rc"
} | head -n 1 >"$T/out"
rc=$(<"$T/rc") ms=$(($(now_ms) - t0))
like "$(out)" "REPORT kernel=" "head gets its line"
ended 125 output "and a reader that went away ends the machine: 125"
is "$(err)" "mayfly: can't write standard output: Broken pipe" "with one message"

# --- the command line ------------------------------------------------------------
# refused PATTERN OPTION...: 125, one line that fits
refused() {
	local pattern=$1
	shift
	boot "$@"
	[ "$rc/$(verdict reason)" = 125/config ] || pattern='125 and "config"'
	one_line "$pattern.*\(see 'mayfly boot --help'\)$" "one line refuses $*"
}
refused "no-such" --no-such
refused "protocol.*xen" --protocol xen
refused "protocol" --protocol
refused "timeout.*banana" --timeout banana
refused "engine.*hamster" --engine hamster
refused "kernel.*empty" --kernel ''
refused "initrd.*empty" --initrd ''
refused "'true'.*options only" -- true
refused "share" --share /tmp
boot --initrd report.cpio --append "$(printf 'word%.0s ' {1..1000})"
ended 125 config "5,000 bytes of --append: 125"
one_line "command line" "one line says why"
help=$("$MAYFLY" boot --help)
missing=
for o in kernel initrd append engine cpus memory timeout protocol trace-exits timings verbose status-fd help; do
	[[ $help == *"--$o"* ]] || missing="$missing $o"
done
is "$missing" "" "every option is in 'mayfly boot --help'"
like "$help" "0 if the guest reset.*1 if its kernel.*panicked.*2 after.*124.*125" "and what the exit status means"
like "$("$MAYFLY" --help)" "boot +boot a kernel" "'mayfly --help' has boot"

new=$(compare_inventory "$T/before" | grep -E '^(state|cgroup) ')
is "$new" "" "all this leaves nothing behind"
done_testing
