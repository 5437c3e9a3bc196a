# SPDX-License-Identifier: Apache-2.0
# Arguments and environment: sizes, odd characters, what is not passed on
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
not_again

# Bigger argument lists than the usual 2 MiB must get as far as mayfly.
ulimit -S -s "$(ulimit -H -s)" 2>/dev/null || :

cat >count.py <<'PY'
import hashlib, os, sys
a = [os.fsencode(x) for x in sys.argv[1:]]
print("n=%d" % len(a))
print("bytes=%d" % sum(len(x) for x in a))
print("max=%d" % max([len(x) for x in a] + [0]))
print("sha=" + hashlib.sha256(b"\0".join(a)).hexdigest())
print("env=%d" % sum(len(k) + len(v) + 2 for k, v in os.environb.items() if k.startswith(b"BIG")))
PY

# 1 MiB in arguments of 64 KiB, each with its own letter
args=()
for i in {a..p}; do args+=("$(head -c 65536 /dev/zero | tr '\0' "$i")"); done
want=$(printf '%s\0' "${args[@]}" | head -c -1 | sha256sum | cut -d' ' -f1)
envs=()
for i in 1 2 3 4; do envs+=(--env "BIG$i=$(head -c 32762 /dev/zero | tr '\0' "$i")"); done
vm "${envs[@]}" -- /usr/bin/python3 count.py "${args[@]}"
guest_is n 16 "1 MiB of arguments: their number"
guest_is bytes 1048576 "their bytes"
guest_is sha "$want" "their contents"
guest_is env 131072 "beside 128 KiB of environment"

one=$(head -c 131071 /dev/zero | tr '\0' x)
vm -- /usr/bin/python3 count.py "$one"
guest_is max 131071 "one argument just below the kernel's 128 KiB"

many=()
for ((i = 0; i < 30000; i++)); do many+=("$i"); done
vm -- /usr/bin/python3 count.py "${many[@]}"
guest_is n 30000 "30,000 short arguments"

args=("${args[@]}" "${args[@]}" "${args[@]}")
VM_LIMIT=30 vm -- true "${args[@]}"
if [ "$rc" = 126 ] && grep -q "Argument list too long" "$T/err"; then
	skip "this host's own limit is below 3 MiB" "3 MiB of arguments are refused with 125"
	skip "this host's own limit is below 3 MiB" "the message says what is too long"
else
	is "$rc/$(verdict reason)" "125/config" "3 MiB of arguments are refused with 125"
	like "$(err)" "argument|2 MiB|long" "the message says what is too long"
fi

vm -- /usr/bin/python3 -c 'import os,sys; print([os.fsencode(a) for a in sys.argv[1:]])' \
	'' ' ' $'new\nline' 'ünï' $'\xff\xfe' '--help' '$HOME' '*' "it's" '"'
is "$(out)" "[b'', b' ', b'new\\nline', b'\\xc3\\xbcn\\xc3\\xaf', b'\\xff\\xfe', b'--help', b'\$HOME', b'*', b\"it's\", b'\"']" \
	"odd arguments arrive as they are"

vm sh -c 'echo "$0|$*"' x --engine tcg -- y
is "$(out)" "x|--engine tcg -- y" "options end at the first word that is none"

vm --env=FOO=a=b --env EMPTY= -e SHORT=1 --env NOT_SET_HERE -- \
	sh -c 'echo "$FOO|${EMPTY-unset}|$SHORT|${NOT_SET_HERE-unset}"'
is "$(out)" "a=b||1|unset" "--env sets, passes on, and leaves out what is not there"

export GITHUB_TOKEN=secret1 AWS_SECRET_ACCESS_KEY=secret2 SSH_AUTH_SOCK=/x MY_VAR=mine TZ=Asia/Tokyo
export LC_TIME=C.UTF-8
vm --env MY_VAR -- env
unlike "$(out)" "secret|SSH_AUTH" "tokens of the caller's environment stay outside"
like "$(out)" "MY_VAR=mine" "--env NAME passes one on"
like "$(out)" "TZ=Asia/Tokyo" "TZ is passed on"
like "$(out)" "LC_TIME=C.UTF-8" "LC_* is passed on"
unlike "$(sed -E 's/=.*//' "$T/out" | grep -vxE 'PATH|HOME|USER|LANG|LC_[A-Z]+|TERM|TZ|MY_VAR' | tr '\n' ' ')" '[A-Z]' \
	"nothing else is there"
vm -- sh -c 'command -v ls; command -v sed; [ -w "$HOME" ] && echo home-writable; date +%Z; id -un >/dev/null && echo named'
like "$(out)" "/ls" "PATH finds programs"
like "$(out)" "home-writable" "HOME is a writable directory"
like "$(out)" "JST" "TZ works in the guest"
like "$(out)" "named" "the user has a name"

vm --env '=x' -- true
is "$rc" 125 "--env without a name is refused"
vm --hostname box7 --workdir /usr/share -- sh -c 'uname -n; pwd'
is "$(out)" $'box7\n/usr/share' "--hostname and --workdir"
vm --user 4321:8765 -- sh -c 'id -u; id -g; id -G; whoami >/dev/null || echo anonymous'
is "$(out)" $'4321\n8765\n8765' "--user UID:GID, with a name for it"
vm --user 0 -- id -u
is "$(out)" 0 "--user 0 is root in the guest"
vm --cpus 2 --memory 256M -- sh -c 'nproc; sed -n "s/MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo'
is "$(sed -n 1p "$T/out")" 2 "--cpus 2"
total=$(sed -n 2p "$T/out")
[ "$total" -gt 200000 ] && [ "$total" -lt 262145 ] && pass "--memory 256M ($total kB)" ||
	fail "--memory 256M ($total kB)"

done_testing
