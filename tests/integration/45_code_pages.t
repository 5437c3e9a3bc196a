# SPDX-License-Identifier: Apache-2.0
# Code in pages that the fs device has filled anew is run as it is now, not as it was
# shellcheck shell=bash disable=SC1091,SC2154
. "$(dirname "$0")/../lib/common.sh"
not_again
guest_programs code_pages

# mov eax, N; ret
mkdir share
printf '\xb8\x6f\x00\x00\x00\xc3' >share/first
printf '\xb8\xde\x00\x00\x00\xc3' >share/second
truncate -s 4096 share/first share/second
cp code_pages share/
vm --share "$W/share:/s" --workdir /s -- ./code_pages first second
is "$(verdict status)" 0 "the program came to its end"
is "$(val wrong)" 0 "every call ran the code that is in its file"
done_testing
