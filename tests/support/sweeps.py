"""Scripts for the tests of sweeps, and readers of the sweeps' records."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from tests.support.aml import Aml

LOGS = """
import argparse, os, sys, time
from amlcore import Run
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, default=0.0)
parser.add_argument("--kind", default="a")
parser.add_argument("--sleep", type=float, default=0.0)
args = parser.parse_args()
time.sleep(args.sleep)
if args.kind == "fails":
    sys.exit("no such kind")
if args.kind != "silent":
    Run.get_context().log("score", -(args.x - 3) ** 2)
Run.get_context().log("other", 1)
print("ran")
"""


SCRIPT = """
defaults: [/schema/script@_here_, _self_]
source_directory: src
script: train.py
arguments: {x: 0, kind: a, sleep: 0}
"""


def sweep_and_trials(aml: Aml) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The newest sweep and its trials in the order of their numbers."""
    found = aml("runs", "--json", "--all", "--children").json
    parent = next(run for run in found if run["parent"] is None)
    children = [run for run in found if run["parent"] == parent["id"]]
    return parent, sorted(children, key=lambda run: int(run["id"].rpartition("_")[2]))


TORCH = find_spec("torch") is not None
