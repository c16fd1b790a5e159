"""Files that a script wrote outside ./outputs are named when it has ended."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.aml import HERE, Aml

SCRIPT = """
import os, sys
from amlcore import Run
os.makedirs("cache/0")
for number in range(3): open("cache/0/{}".format(number), "w").close()
open("results.txt", "w").close()
open("data.csv", "a").write("changed")
open("outputs/kept", "w").close()
Run.get_context().log("score", 1)
sys.exit(3 * ("fail" in sys.argv))
"""
NOTE = "not kept: data.csv, results.txt, cache/ (3 files); only files in ./outputs are kept"


def test_files_beside_outputs_are_named(aml: Aml, write: Callable) -> None:
    write("a.py", SCRIPT)
    write("data.csv", "before")
    write("many.py", "import os\nfor n in range(300):\n    os.makedirs(f'd{n}')\n    open(f'd{n}/x', 'w').close()\n")
    write("none.py", "open('outputs/x', 'w').close()\n")

    assert f"note: {NOTE}\n" in aml("run", "a.py", HERE, "--", "pass").err
    assert f"note: {NOTE}\n" in aml("run", "a.py", HERE, "--", "fail", status=3).err
    assert "d0/ (1 file), d1/ (1 file), d10/ (1 file), d100/ (1 file)" in aml("run", "many.py", HERE).err
    assert "kept" not in aml("run", "none.py", HERE).err


def test_a_sweep_names_them_once(aml: Aml, write: Callable) -> None:
    write("a.py", SCRIPT)
    write("data.csv", "before")
    sweep = aml("run", "-m", "a.py", HERE, "sweep.primary_metric=score", "+script.arguments.x=1,2")

    assert sweep.err.count(NOTE) == 1, sweep
