# SPDX-License-Identifier: Apache-2.0
# GitLab's custom executor, driven as the runner does it: four stages, artefacts, jobs that misbehave
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
for c in start cp kill rm; do
	"$MAYFLY" $c --help >/dev/null 2>&1 </dev/null || skip_all "this mayfly has no '$c'"
done
driver=$TEST_DIR/../contrib/gitlab-runner/driver
export MAYFLY_CI_MAYFLY=$MAYFLY MAYFLY_CI_STATE=$W/state MAYFLY_CI_MEMORY=512M MAYFLY_CI_PIDS=200
export MAYFLY_CI_OPTIONS="--engine $MAYFLY_ENGINE" BUILD_FAILURE_EXIT_CODE=31 SYSTEM_FAILURE_EXIT_CODE=32
export JOB_RESPONSE_FILE=$W/response BUILD_EXIT_CODE_FILE=$W/code
# Numbers that no other test on this host takes.
base=$((RANDOM * 100000 + $$))
jobs=()
at_exit() { for j in "${jobs[@]}"; do "$MAYFLY" kill "gitlab-$j"; "$MAYFLY" rm "gitlab-$j"; done >/dev/null 2>&1; }
job() { # N [IMAGE]
	jobs+=("$((base + $1))")
	machine=gitlab-$((base + $1))
	printf '{"token": "t", "id": %d, "image": {"name": "%s"}, "variables": []}' "$((base + $1))" "${2:-}" >response
}
stage() { # ARGUMENT...: one call of the runner's
	: >code
	timeout -k 5 "$(scaled 120)" env CUSTOM_ENV_CI_JOB_ID=1 CUSTOM_ENV_CI_PROJECT_DIR=/builds/p "$driver" "$@" \
		>"$T/out" 2>"$T/err" </dev/null
	rc=$?
}
script() { cat >"$W/script"; stage run "$W/script" "$1"; }

listed() { "$MAYFLY" ps -a 2>/dev/null | grep -c "^$1 "; }

## A job with artefacts
job 1
stage config
is "$rc" 0 "config"
like "$(/usr/bin/python3 -c 'import json,sys; c = json.load(open(sys.argv[1])); print(c["builds_dir"], c["driver"]["name"], c["builds_dir_is_shared"])' "$T/out")" \
	"^/builds mayfly False" "says where it builds, as JSON"
stage prepare
is "$rc" 0 "prepare"
like "$(err)" "machine $machine is ready" "starts a machine"
is "$(listed "$machine")" 1 "which is listed"
script prepare_script <<<'echo "Running on $(hostname)"'
is "$rc $(out)" "0 Running on $(out | sed 's/Running on //')" "prepare_script"
script get_sources <<<'mkdir -p /builds/p && cd /builds/p && echo "all: ; echo built >result.txt" >Makefile'
is "$rc" 0 "get_sources"
script step_script <<'SH'
set -eo pipefail
cd /builds/p
printf 'all:\n\techo built >result.txt\n' >Makefile
make 2>&1 || echo built >result.txt
echo error-line >&2
SH
is "$rc" 0 "step_script"
like "$(err)" "error-line" "standard error is the job's log, too"
script after_script <<<'cat /builds/p/result.txt'
is "$rc $(out)" "0 built" "after_script sees what the step made"
cat >collect <<'SH'
#!/bin/sh
"$MAYFLY_CI_MAYFLY" cp -q "$1:/builds/p/result.txt" "$MAYFLY_CI_STATE/../artefact-$2"
SH
chmod +x collect
MAYFLY_CI_COLLECT=$W/collect script upload_artifacts_on_success <<<'echo Uploading'
is "$rc $(cat "artefact-$((base + 1))")" "0 built" "the artefact is on the host"
stage cleanup
is "$rc" 0 "cleanup"
is "$(listed "$machine")" 0 "the machine is gone"
stage cleanup
is "$rc" 0 "a second cleanup is no failure"
yes_if "nothing is left of its state" [ ! -e "state/$machine" ]

## What failed, and whose fault it was
job 2
stage prepare
script step_script <<<'exit 7'
is "$rc $(cat code)" "31 7" "a script that fails is the build's failure, with its status"
script step_script <<<'exit 125'
is "$rc $(cat code)" "31 125" "also with mayfly's own"
script step_script <<<'kill -9 $$'
is "$rc" 31 "also when it is killed"
"$MAYFLY" kill "$machine" >/dev/null 2>&1
script step_script <<<'true'
is "$rc" 32 "a machine that is gone is the system's"
stage cleanup
job 3
script step_script <<<'true'
is "$rc" 32 "a job that was not prepared is the system's failure"
MAYFLY_CI_MEMORY=banana stage prepare
is "$rc" 32 "so is a machine that does not start"
stage cleanup
job 4 not-there
MAYFLY_CI_IMAGES=some-image stage prepare
is "$rc" 31 "an image that the runner has not is the job's failure"
JOB_RESPONSE_FILE='' stage prepare
is "$rc" 32 "CI_JOB_ID alone, which a job can set, is not believed"

## A job that misbehaves, and the one after it
job 5
stage prepare
script step_script <<'SH'
sh -c 'while :; do sleep 1000 & done' >/dev/null 2>&1 &
setsid sh -c 'sleep 10000' >/dev/null 2>&1 &
echo pwned >/builds/marker; echo pwned >/tmp/marker; echo pwned >>/etc/profile
head -c 2000000000 /dev/zero >/builds/full 2>/dev/null
echo done; exit 3
SH
is "$rc $(out | tail -n 1)" "31 done" "a job that fork-bombs, fills its disk and leaves children"
stage cleanup
is "$rc" 0 "is cleaned up"
job 6
stage prepare
is "$rc" 0 "the next one is prepared"
script step_script <<'SH'
[ ! -e /builds/marker ] && [ ! -e /tmp/marker ] && ! grep -q pwned /etc/profile && echo clean
[ "$(ps ax 2>/dev/null | grep -c '[s]leep')" -eq 0 ] && echo alone
head -c 1000000 /dev/zero >/builds/x && echo room
SH
is "$rc $(out | tr '\n' ' ')" "0 clean alone room " "and finds nothing of it"
stage cleanup
left=
for j in "${jobs[@]}"; do [ "$(listed "gitlab-$j")" = 0 ] || left+=" $j"; done
is "$left$(find state -mindepth 1)" "" "no machine and no file of theirs is left on the host"
done_testing
