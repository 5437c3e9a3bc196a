# SPDX-License-Identifier: Apache-2.0
# The exit status of a run, and the verdict beside it
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"

guest_dir=$(dirname "$MAYFLY")/guest
version=$(grep -a -o -m 1 'Linux version [0-9][^ ]*' "$guest_dir/vmlinux" | head -n 1 | cut -d' ' -f3)
vm -- uname -r
is "$(out)" "$version" "uname -r prints the guest kernel's version"
is "$rc/$(verdict reason)/$(verdict code)" "0/exit/0" "its status and verdict are 0"
like "$(verdict max_rss_kib)" '^[1-9][0-9]*$' "the verdict has the usage"

vm -- /bin/false
is "$rc/$(verdict reason)/$(verdict code)" "1/exit/1" "/bin/false is 1"

vm -- sh -c 'exit 42'
is "$rc/$(verdict reason)/$(verdict code)" "42/exit/42" "exit 42 is 42"

vm -- sh -c 'exit 125'
is "$rc/$(verdict reason)" "125/exit" "a command's own 125 is told apart by the verdict"
is "$(err)" "" "and has no message"

vm -- sh -c 'kill -9 $$'
is "$rc/$(verdict reason)/$(verdict signal)" "137/signal/9" "kill -9 \$\$ is 137"

vm -- sh -c 'kill -SEGV $$'
is "$rc/$(verdict reason)/$(verdict signal)" "139/signal/11" "a segmentation fault is 139"

vm -- /nonexistent
is "$rc/$(verdict reason)/$(verdict errno)" "127/not-started/2" "/nonexistent is 127"
like "$(err)" "/nonexistent" "the message names it"

vm -- no-such-program-anywhere
is "$rc/$(verdict reason)" "127/not-started" "a bare name that is in no PATH directory is 127"

echo data >plain-file
vm -- ./plain-file
is "$rc/$(verdict reason)/$(verdict errno)" "126/not-started/13" "a file without x is 126"
like "$(err)" "plain-file" "the message names it"

vm -- /usr
is "$rc" 126 "a directory is 126"

printf 'echo plain script' >noshebang
chmod +x noshebang
vm -- ./noshebang
is "$rc/$(out)" "0/plain script" "a script without an interpreter line runs as in a shell"

printf '\177ELF\2\1\1 nothing of use' >badelf
chmod +x badelf
vm -- ./badelf
isnt "$rc" 0 "a broken ELF file does not count as success (status $rc)"

printf '#!/no/such/interpreter\n' >badshebang
chmod +x badshebang
vm -- ./badshebang
is "$rc" 127 "a missing interpreter is 127"

vm --no-such-option -- true
is "$rc/$(verdict reason)" "125/config" "an unknown option is 125"
like "$(err)" "no-such-option" "the message names the option"

vm --timeout 2s -- sleep 60
is "$rc/$(verdict reason)" "124/timeout" "--timeout 2s -- sleep 60 is 124"
soon "$ms" 5000 "it ends within 3 s of the deadline ($ms ms)"
[ "$ms" -ge 2000 ] && pass "and not before it" || fail "and not before it"
like "$(err)" "timeout" "a message says so"

vm -- sh -c 'exit 256; exit 3'
is "$rc" 0 "status 256 is 0, as everywhere"

done_testing
