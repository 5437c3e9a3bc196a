# SPDX-License-Identifier: Apache-2.0
# tar of SOAK_FILES (50,000) files into a writable share and back, compared by hash
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"
: "${SOAK_FILES:=50000}"
mkdir many back again
/usr/bin/python3 - "$SOAK_FILES" <<'PY'
import os, sys
for i in range(int(sys.argv[1])):
    os.makedirs("many/%d" % (i % 200), exist_ok=True)
    with open("many/%d/%d" % (i % 200, i), "wb") as f:
        f.write(b"%d\n" % i * (i % 300))
PY
tar -C many -cf many.tar .
hashes() { (cd "$1" && find . -type f -print0 | xargs -0 sha256sum | sort); }
hashes many >"$T/want"
is "$(wc -l <"$T/want")" "$SOAK_FILES" "so many files"
# shellcheck disable=SC2034 # read by vm
VM_LIMIT=1800
for cache in auto none; do
	vm --no-cwd --share "$W/back:/b:rw,cache=$cache" --share "$W/many.tar:/many.tar" -- \
		sh -ec 'cd /b; mkdir x; tar xf /many.tar -C x; tar cf all.tar -C x .; tar tf all.tar | grep -vc "/$"; rm -r x/7; ls x | wc -l'
	is "$rc $(out | tr '\n' ' ')" "0 $SOAK_FILES 199 " "cache=$cache: unpacked in a share and packed again ($ms ms)"
	tar -C again -xf back/all.tar
	is "$(diff "$T/want" <(hashes again) | head -n 3)" "" "cache=$cache: what was packed is the same"
	is "$(diff <(grep -v ' \./7/' "$T/want") <(hashes back/x) | head -n 3)" "" \
		"cache=$cache: what lies on the host, too, but for what the guest removed"
	rm -rf back/* again/*
done
done_testing
