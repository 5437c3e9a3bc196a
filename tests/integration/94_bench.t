# SPDX-License-Identifier: Apache-2.0
# The benchmark's driver: its statistics, one part with the fewest rounds, its report and pictures
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
[ "$MAYFLY_ENGINE" = tcg ] || skip_all "the benchmark measures hosts, no rig: its peers are the host's"
[ "$MAYFLY" = "$(realpath "$TEST_DIR/..")/build/mayfly" ] || skip_all "the benchmark measures build/mayfly only"
bench=$TEST_DIR/bench

/usr/bin/python3 -B - "$bench" >"$T/out" 2>"$T/err" <<'PY'
import pathlib, sys, tempfile, xml.dom.minidom
sys.path.insert(0, sys.argv[1])
import plots, turns
s = turns.summary([4, 1, 3, 2, 5])
assert (s["median"], s["q1"], s["q3"], s["min"], s["max"], s["n"]) == (3, 2, 4, 1, 5, 5), s
assert turns.summary([7])["q3"] == 7
assert turns.ratios([2, 9, 4], [1, 3, 4])["median"] == 2
assert abs(turns.slope([1, 2, 3], [10, 20, 30]) - 10) < 1e-9
try:
    turns.ratios([1], [1, 2])
    sys.exit("pairs that are none pass")
except ValueError:
    pass
order = []
got = turns.in_turns({n: lambda n=n: order.append(n) or len(order) for n in "ab"}, 2)
assert "".join(order) == "baabba" and got == {"a": [3, 6], "b": [4, 5]}, (order, got)
everything = turns.load("all")
part = everything.run_part(["sh", "-c", "echo no >&2; exit 77"], 9)
assert (part["state"], part["reason"]) == ("skipped", "no"), part
part = everything.run_part(["sh", "-c", "echo bad >&2; exit 3"], 9)
assert (part["state"], part["reason"]) == ("failed", "status 3: bad"), part
part = everything.run_part(["sleep", "60"], 1)
assert part["state"] == "failed" and "no end" in part["reason"] and part["seconds"] < 15, part
rows = [{"job": "a", "ratio": 1.1}, {"job": "b", "ratio": 0.95}]
assert [everything.sentences("disks", {"rows": rows}, e)[0]["aim"] for e in ("tcg", "kvm")] == [True, False]
row = {"job": "dd", "mayfly": "share", "virtiofsd": "auto", "ratio": 0.7, "aim": 0.8}
assert [s["aim"] for s in everything.sentences("shares", {"rows": [row, {**row, "aim": None}]}, "tcg")] == [False]
assert "5.0 ms" in everything.sentences("exec", {"m": [5, 6], "f": [1, 2]}, "tcg")[0]["text"]
cold = turns.load("cold")
rounds = [{"cold": 30.0, "warm": 10.0, "read": 2048}, {"cold": 50.0, "warm": 10.0, "read": 4096}]
said = cold.sentences({cold.OURS: rounds, cold.BARE: [{**r, "cold": 10.0} for r in rounds]})[0]["text"]
assert "took 40 ms, right after that 10 ms" in said and "4.00 times" in said, said
said = everything.plain_words({"engine": "tcg", "machine": {"load_at_start": 2}, "parts": {
    "pairs": {"state": "ok", "text": "a\nmedian ratio 0.395, b"},
    "x": {"state": "failed", "reason": "why"}, "y": {"state": "skipped", "reason": "so"}}})
assert "took 0.40 times" in said[0] and said[0].endswith("aim met"), said
assert said[1] == "x FAILED: why" and said[2] == "y was not measured: so" and said[3].startswith("WARNING"), said
with tempfile.TemporaryDirectory() as d:
    plots.bars(pathlib.Path(d, "x.svg"), [("mayfly <&>", 3.0), ("b", 40.0)], "t", "s")
    xml.dom.minidom.parse(f"{d}/x.svg")
PY
is "$?" 0 "medians, quartiles, paired ratios, turns, and what becomes of a part ($(err | tail -n 1))"

timeout -k 5 "$(scaled 60)" "$bench/all" --quick --only counts,memory --out "$W/report" >"$T/out" 2>"$T/err"
is "$?" 0 "the driver with two parts"
is "$(jq -r '.parts | keys | join(" ")' report/results.json)" "counts memory" "results.json has each of them"
is "$(jq -r '.parts.counts.state + " " + .parts.memory.state' report/results.json)" "ok ok" "those that need nothing are measured"
is "$(jq '.machine | has("cpu") and has("kernel") and has("load_at_start") and has("page_cache")' report/results.json)" \
	true "and the machine"
like "$(cat report/results.md)" "## counts: ok" "results.md has a heading for each"
like "$(tail -n 4 "$T/out")" "idle machine of 64 MiB took [0-9.]+ MiB" "it ends in plain words"
timeout -k 5 "$(scaled 60)" "$bench/all" --only nothing --out "$W/none" >"$T/out" 2>"$T/err"
is "$?" 2 "an unknown part is refused"

done_testing
