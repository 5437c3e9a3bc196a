#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh - does a resolved kernel configuration say what the fragments say?
#
# usage: check.sh [--profile NAME] CONFIG
#
# Required is what the profile's fragments set: each must have survived the
# resolving of dependencies. Forbidden is forbidden.txt, whoever turned it on.
set -euo pipefail
export LC_ALL=C

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
die() { printf 'mayfly: %s\n' "$*" >&2; exit 1; }

profile=guest
if [ "${1:-}" = --profile ]; then
	profile=${2:-}
	shift 2 || die "--profile needs a name"
fi
[ $# -eq 1 ] || die "usage: check.sh [--profile NAME] CONFIG"
config=$1
[ -r "$config" ] || die "cannot read $config"

fragments=()
while read -r name _ list; do
	[ "$name" = "$profile" ] || continue
	for f in $list; do fragments+=("$here/fragments/$f.config"); done
done < <(grep -v '^#' "$here/profiles.txt")
[ ${#fragments[@]} -gt 0 ] || die "no kernel profile named $profile in profiles.txt"

awk -v profile="$profile" '
	# name of an option from either form of line
	function option(  m) { return $0 ~ /^#/ ? $2 : substr($0, 1, index($0, "=") - 1) }
	function value() { return $0 ~ /^#/ ? "n" : substr($0, index($0, "=") + 1) }
	FNR == 1 { file++ }
	FILENAME ~ /forbidden\.txt$/ { if ($1 != "" && $1 !~ /^#/) forbidden["CONFIG_" $1] = 1; next }
	!/^CONFIG_[A-Za-z0-9_]+=/ && !/^# CONFIG_[A-Za-z0-9_]+ is not set$/ { next }
	FILENAME ~ /\.config$/ && file < ARGC - 1 { want[option()] = value(); next }
	{ have[option()] = value() }
	END {
		for (o in want) {
			got = (o in have) ? have[o] : "n"
			if (got != want[o]) { printf "mayfly: %s kernel: %s is %s, the fragments say %s\n", profile, o, got, want[o]; bad++ }
		}
		for (o in forbidden) if ((o in have) && have[o] != "n") {
			printf "mayfly: %s kernel: %s=%s is forbidden\n", profile, o, have[o]; bad++
		}
		exit bad > 0
	}' "$here/forbidden.txt" "${fragments[@]}" "$config" >&2
