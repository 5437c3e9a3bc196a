# SPDX-License-Identifier: Apache-2.0
"""turns - commands measured in turns, and what parts of `make bench` share

A part is a program that prints Markdown and writes JSON to --json FILE. In the JSON "plain" is a list
of {"text": a sentence, "aim": true, false or null}. A part that can't run here ends with status 77 and
says why on standard error.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / os.environ.get("BUILD", "build")
MAYFLY = str(BUILD / "mayfly")
SKIPPED = 77


def load(name):
    """A program of this directory as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def skip(reason):
    """This part can't run here."""
    print(reason, file=sys.stderr)
    sys.exit(SKIPPED)


def summary(samples):
    """Median, quartiles and range."""
    if len(samples) > 1:
        q1, median, q3 = statistics.quantiles(samples, n=4, method="inclusive")
    else:
        q1 = median = q3 = samples[0]
    return {"n": len(samples), "median": median, "q1": q1, "q3": q3,
            "min": min(samples), "max": max(samples)}


def ratios(ours, theirs):
    """Of what was measured in the same round."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} samples are no pairs")
    return summary([a / b for a, b in zip(ours, theirs)])


def slope(xs, ys):
    """Least squares: how much y grows with one more x."""
    mx, my = statistics.mean(xs), statistics.mean(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sum((x - mx) ** 2 for x in xs)


def in_turns(contenders, rounds):
    """{name: function that measures once} to {name: [a value each round]}; a round before warms up.

    Who is first changes with each round."""
    out, names = {name: [] for name in contenders}, list(contenders)
    for number in range(-1, rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            value = contenders[name]()
            if number >= 0:
                out[name].append(value)
    return out


def arguments(doc, rounds):
    """A parser with what every part takes."""
    parser = argparse.ArgumentParser(description=doc.split("\n", 1)[0])
    parser.add_argument("--engine", choices=("tcg", "kvm"), default="tcg")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json")
    return parser


def emit(options, result):
    """Writes the JSON, if it is wanted."""
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
