"""The overrides of Hydra's Optuna sweeper, compared with that plugin itself in an environment of its own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amlcore.config import compose_search
from amlcore.sweep import Dimension

UV = Path(sys.executable).parent / "uv"
RELEASE = "hydra-optuna-sweeper==1.3.0"
CANDIDATE = "hydra-optuna-sweeper==1.4.0rc3"  # the first that runs with Optuna 5

# As its documentation, its examples and its own tests have them, and what Hydra's grammar lets them be combined with.
FORMS = [
    *("interval(-5.5,5)", "interval(1,10)", "interval(start=0,end=1)", "tag(quantized,interval(0,1))"),
    *("int(interval(1,10))", "int(interval(0.5,3.5))", "float(interval(1,3))"),
    *("tag(log,interval(0.001,10))", "tag(log,interval(1,1000))", "tag(log,int(interval(1,100)))"),
    *("int(tag(log,interval(1,100)))", "tag(log, interval(0.1, 1))"),
    *("choice(linear,rbf)", "choice(-5.0,0.0,5.0)", "choice(0,5,10)", "choice(true,false)", "tag(a,choice(1,2))"),
    *("linear,rbf", "1,2,3", "0.5,1,1.5", "true,false", "null,1", "'a b','c,d'", "[1,2],[3,4]"),
    *("int(1.5,2.5)", "sort(3,1,2)", "sort(3,1,2,reverse=true)", "shuffle(1,2,3)", "shuffle(range(1,4))"),
]
RANGES = [
    *("range(1,10)", "range(1,10,2)", "range(1,10,3)", "range(10)", "range(-5.5,5.5,step=0.5)", "range(0,1,0.1)"),
    *("range(-0.5,0.5,step=0.25)", "range(1,11,step=0.3)", "range(start=1,stop=4)", "tag(a,range(1,4))"),
]
DESCENDING = ["range(5,1,-1)", "range(10,1,-4)", "range(1,0,-0.25)"]

PLUGIN = """
import json, sys, warnings
warnings.simplefilter("ignore")
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

def value(choice):
    if isinstance(choice, str):  # as it is given to the job, by Hydra's own grammar
        choice = OverridesParser.create().parse_override("x=" + choice).value()
    return getattr(choice, "text", choice)

def plain(distribution):
    name = type(distribution).__name__
    if name.startswith("Categorical"):
        return {"choices": [value(choice) for choice in distribution.choices]}
    step = getattr(distribution, "q", getattr(distribution, "step", None))
    log = "Log" in name or getattr(distribution, "log", False)
    kind = "int" if name.startswith("Int") else "float"
    return {"kind": kind, "low": distribution.low, "high": distribution.high, "step": step, "log": log}

said = [create_params_from_overrides(["x=" + form])[0]["x"] for form in json.load(sys.stdin)]
print(json.dumps([plain(distribution) for distribution in said]))
"""


def asked(plugin: str, forms: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """What the plugin makes of `forms`."""
    python = folder / "bin/python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--prerelease=allow", "--python", python, plugin], check=True)
    done = subprocess.run(
        [python, "-c", PLUGIN], input=json.dumps(forms), capture_output=True, text=True, check=True, cwd=folder
    )
    return dict(zip(forms, json.loads(done.stdout), strict=True))


def understood(forms: list[str], root: Path) -> dict[str, dict[str, Any]]:
    """What amlcore makes of `forms`."""
    words = ["script.script=train.py", "environment=current", "sweep=random"]
    space = [f"+script.arguments.x{number}={form}" for number, form in enumerate(forms)]
    search = compose_search([*words, *space], root=root)
    assert search is not None
    return {form: plain(search.space[f"script.arguments.x{number}"]) for number, form in enumerate(forms)}


def plain(dimension: Dimension) -> dict[str, Any]:
    if dimension.choices:
        return {"choices": list(dimension.choices)}
    step = int(dimension.step or 1) if dimension.kind == "int" else dimension.step
    return {
        "kind": str(dimension.kind),
        "low": dimension.low,
        "high": dimension.high,
        "step": step,
        "log": dimension.log,
    }


def settled(form: str, found: dict[str, Any]) -> dict[str, Any]:
    """Without the order that chance gave."""
    return {"choices": sorted(found["choices"])} if form.startswith("shuffle") else found


@pytest.fixture
def root(project: Path) -> Path:
    (project / "train.py").write_text("")
    return project


@pytest.mark.slow
def test_every_form_means_what_the_released_plugin_means_by_it(root: Path, tmp_path: Path) -> None:
    theirs = asked(RELEASE, FORMS + RANGES, tmp_path / "release")

    ours = understood(list(theirs), root)
    wrong = {
        form: {"theirs": theirs[form], "ours": ours[form]}
        for form in theirs
        if settled(form, ours[form]) != settled(form, theirs[form])
    }
    assert wrong == {}


@pytest.mark.slow
def test_the_candidate_that_runs_with_optuna_5_differs_in_the_end_of_a_range_alone(root: Path, tmp_path: Path) -> None:
    """It leaves the end out, as a grid does; the release and amlcore have it in."""
    theirs = asked(CANDIDATE, FORMS + RANGES + DESCENDING, tmp_path / "candidate")

    ours = understood(list(theirs), root)
    assert {f: settled(f, ours[f]) for f in FORMS} == {f: settled(f, theirs[f]) for f in FORMS}
    for form in RANGES + DESCENDING:
        end = _end(form)
        assert sorted(_points(theirs[form])) == [point for point in _points(ours[form]) if point != end], form


def _points(found: dict[str, Any]) -> list[float]:
    count = round((found["high"] - found["low"]) / found["step"]) + 1
    return [round(found["low"] + number * found["step"], 9) for number in range(count)]


def _end(form: str) -> float:
    """The end of a range as it is written."""
    inside = form[form.index("range(") + 6 : form.rindex(")")].rstrip(")")
    words = shlex.split(inside.replace(",", " "))
    named = [word for word in words if word.startswith("stop=")]
    return float(named[0].partition("=")[2] if named else words[min(1, len(words) - 1)])
