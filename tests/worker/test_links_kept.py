"""The links that a script leaves in ./outputs lead to their files afterwards, or are named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from amlcore.worker.process.links import keep_linked
from tests.support.aml import HERE, Aml

SCRIPT = """
import os, sys, tempfile
from amlcore import Run
os.makedirs("scratch/deep/er")
os.makedirs("outputs/best/inner")
for path in ("scratch/a", "scratch/deep/b", "scratch/deep/er/c", "outputs/best/d", "outputs/best/inner/e", "logs/l"):
    open(path, "w").write(os.path.basename(path))
os.symlink("er/c", "scratch/deep/within")
os.symlink(os.path.abspath("scratch/a"), "scratch/deep/out")
here = os.path.abspath("outputs")
links = {
    "absolute": here + "/best/d", "relative": "best/d", "roundabout": "../outputs/best/d",
    "of_link": here + "/relative", "best/up": "../relative", "best/top": "../", "last": here + "/best",
    "outside": "../scratch/a", "again": "../scratch/a", "folder": "../scratch/deep", "log": "../logs/l",
    "self": "loop", "loop": "self", "gone": "nothing/there", "all": "..",
    "temporary": sys.argv[1] + "/written", "data": sys.argv[1] + "/known",
    "checkpoint": Run.get_context().checkpoint_dir,
}
open(sys.argv[1] + "/written", "w").write("w")
open(links["checkpoint"] + "/k", "w").write("k")
for name, target in links.items():
    os.symlink(target, "outputs/" + name)
"""

LEADS = {
    **{"absolute": "d", "relative": "d", "roundabout": "d", "of_link": "d", "best/up": "d", "outside": "a"},
    **{"again": "a", "folder/b": "b", "folder/er/c": "c", "folder/within": "c", "folder/out": "a", "last/d": "d"},
    **{"last/inner/e": "e", "log": "l", "temporary": "w", "checkpoint/k": "k"},
}


def test_links_lead_to_their_files_or_are_named(tmp_path: Path, project: Path, aml: Aml, write: Callable) -> None:
    (tmp_path / "known").write_text("known before")
    os.utime(tmp_path / "known", (1e9, 1e9))
    write("a.py", SCRIPT)

    said = aml("run", "a.py", HERE, "--", str(tmp_path))

    details = aml("show", "latest", "--json").json
    project.rename(tmp_path / "moved")  # nothing leads into the folder that it was
    outputs = next(tmp_path.glob("moved/outputs/a/*/outputs"))
    assert {name: (outputs / name).read_text() for name in LEADS} == LEADS
    listed = {item["path"].removeprefix("outputs/") for item in details["outputs"]}
    assert listed == LEADS.keys() | {"best/d", "best/inner/e"}
    for name in ("all", "data", "gone", "loop", "self"):
        assert f"outputs/{name} is a link to" in said.err
    assert (tmp_path / "known").read_text() == "known before"


@pytest.mark.parametrize("path", ["outputs/absolute", "outputs/last/model.joblib", "outputs/last"])
def test_a_model_is_found_behind_a_link(path: str, aml: Aml, write: Callable) -> None:
    write(
        "train.py",
        "import joblib, os\nos.makedirs('deep/best')\nos.rmdir('outputs')\n"
        "os.symlink(os.path.abspath('deep'), 'outputs')\njoblib.dump([1], 'outputs/best/model.joblib')\n"
        "os.symlink(os.path.abspath('outputs/best'), 'outputs/last')\n"
        "os.symlink(os.path.abspath('outputs/last/model.joblib'), 'outputs/absolute')\n",
    )
    aml("run", "train.py", HERE)
    aml("register", "latest", "--name", "m", "--path", path)

    (model,) = aml("models", "--json").json
    assert model["version"] == 1


def test_folders_that_lead_to_each_other_end(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for name in ("a", "b"):
        (run / "work" / name).mkdir(parents=True)
        (run / "work" / name / "x").symlink_to("../" + ("b" if name == "a" else "a"))
    (run / "work/outputs").mkdir()
    (run / "work/outputs/l").symlink_to("../a")

    keep_linked(str(run / "work/outputs"), str(run), 0)

    assert (run / "work/outputs/l").is_dir()
    assert not (run / "work/outputs/l").is_symlink()
