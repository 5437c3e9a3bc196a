# SPDX-License-Identifier: Apache-2.0
# The host's own limits: a standard error that nobody reads, few descriptors
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"

# The guest decides how much its console says; it must not hold up the deadline.
cat >unread.py <<'PY'
import os, subprocess, sys, time
slack = 3 * int(os.environ["MAYFLY_TIME_SCALE"])
r, w = os.pipe()
start = time.monotonic()
p = subprocess.Popen([sys.argv[1], "run", "--engine", sys.argv[2], "--console", "--timeout", "5s",
                      "--user", "0", "--", "sh", "-c", "while :; do echo %s >/dev/ttyS0; done" % ("a" * 80)],
                     stdin=subprocess.DEVNULL, stderr=w)
status = p.wait(timeout=20 * slack)
print("status=%d" % status)
print("late=%d" % (time.monotonic() - start > 5 + slack))
PY
timeout "$(scaled 90)" /usr/bin/python3 unread.py "$MAYFLY" "$MAYFLY_ENGINE" >"$T/out" 2>"$T/err"
is "$(val status)" 124 "a console that nobody reads does not stop the deadline"
is "$(val late)" 0 "which is kept within 3 s"

# Each process of the guest holds some of the shared files open.
(
	ulimit -Sn 1024
	vm --timeout "$(scaled 100)s" -- \
		sh -c "for i in \$(seq 400); do sleep $(scaled 15) & done; sleep 5; ls /usr/bin >list && wc -l <list"
	cp "$T/verdict" "$T/verdict1" 2>/dev/null
)
is "$(sed -nE 's/.*"status":([0-9]+).*/\1/p' "$T/verdict")" 0 "400 processes in the guest with a soft limit of 1,024 descriptors"
below 10 "$(out | tr -dc 0-9)" "and programs still start"
done_testing
