"""`script.module` and `aml run -M`: a module runs as `python -m` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from amlcore.cli import run
from amlcore.config import compose
from amlcore.errors import ConfigError, RequestError
from amlcore.worker.module_file import find_module
from amlcore.worker.process import top_imports
from tests.support.aml import Aml, Write

TRAIN = """
import json, os, statistics, sys
from multiprocessing import get_context
import numpy
from . import features
from .deep.shapes import area
from ..other import sibling
import top

def square(number):
    return number * number

if __name__ == "__main__":
    with get_context("spawn").Pool(1) as pool:
        squares = pool.map(square, [3])
    print(json.dumps([
        __name__, __package__, __spec__.name, os.path.relpath(__file__), os.path.relpath(sys.argv[0]), sys.argv[1:],
        os.path.relpath(sys.path[0]), features.WIDTH, area(2), sibling.NAME, top.NAME, statistics.mean([1, 3]), squares,
    ]))
    print(sys.modules["pkg"].__name__, "pkg.sub.train" in sys.modules, file=sys.stderr)
    sys.exit(3 if "--fail" in sys.argv else 0)
"""


@pytest.fixture
def tree(project: Path, write: Write) -> Path:
    write("pkg/__init__.py", "import math\nSTARTED = 1\n")
    write("pkg/sub/__init__.py", "from .features import WIDTH\n")
    write("pkg/sub/train.py", TRAIN)
    write("pkg/sub/features.py", "WIDTH = 5\n")
    write("pkg/sub/deep/shapes.py", "import wave\nfrom ..features import WIDTH\n\ndef area(x):\n    return x * WIDTH\n")
    write("pkg/sub/statistics.py", "raise RuntimeError('a module of the package hides one of the library')\n")
    write("pkg/other/sibling.py", "NAME = __name__\n")
    write("pkg/__main__.py", "from .other.sibling import NAME\nprint('main', NAME, __package__)\n")
    write("pkg/broken/__init__.py", "raise ValueError('broken')\n")
    write("pkg/broken/train.py", "")
    write("spaces/tool.py", "from . import helper\nprint(helper.NAME, __spec__.parent)\n")
    write("spaces/helper.py", "NAME = __name__\n")
    write("top.py", "NAME = 'top'\nif __name__ == '__main__':\n    print('top runs', __package__ == '')\n")
    return project


def plain(module: str, *arguments: str, cwd: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("warm", ["true", "false"])
def test_a_module_runs_as_python_runs_it(warm: str, tree: Path, aml: Aml) -> None:
    words = ["environment=current", f"compute.warm={warm}"]
    for module, arguments in (("pkg.sub.train", ["--a", "1"]), ("pkg", []), ("spaces.tool", []), ("top", [])):
        expected = plain(module, *arguments, cwd=tree)
        said = aml("run", "-M", module, *words, "--", *arguments, status=None)
        assert (said.status, said.out) == expected, said.err

    failed = aml("run", "-M", "pkg.sub.train", *words, "--", "--fail", status=3)
    assert failed.out == plain("pkg.sub.train", "--fail", cwd=tree)[1]
    broken = aml("run", "-M", "pkg.broken.train", *words, status=1)
    assert "ValueError: broken" in broken.err
    assert "runpy" not in broken.err


def test_a_module_is_swept_repeated_and_shown(tree: Path, aml: Aml, write: Write) -> None:
    write(
        "conf/script/mine.yaml", "defaults: [/schema/script@_here_, _self_]\nmodule: spaces.tool\narguments: {a: 1}\n"
    )
    shown = aml("run", "script=mine", "environment=current", "--dry-run").out
    assert "script: spaces/tool.py\nmodule: spaces.tool\n" in shown

    swept = aml("run", "-m", "script=mine", "environment=current", "script.arguments.a=1,2")
    assert "2 trials: 2 done" in swept.err
    aml("run", "script=mine", "environment=current", "experiment_name=once")
    (tree / "spaces/tool.py").unlink()

    again = aml("rerun", "latest")

    assert again.out == "spaces.helper spaces\n"
    facts = aml("show", "latest", "--json").json
    assert facts["script"] == "spaces/tool.py"


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["script.module=pkg.trian"], "did you mean 'train'"),
        (["script.module=pkg"], "a package runs by its __main__.py"),
        (["script.module=pkg/train.py"], "such as pkg.train"),
        (["script.module=top.py"], "without .py; did you mean top?"),
        (["script.module=inner.train"], "script.source_directory=src"),
        (["script.module=link.train"], "lies outside script.source_directory"),
        (["script.module=pkg.train", "script.script=top.py"], "only one of them can run"),
        (["script.module=''"], "the dotted name of a module"),
    ],
)
def test_a_module_that_cannot_run_is_one_message(
    overrides: list[str], part: str, project: Path, write: Write, tmp_path: Path
) -> None:
    for path in ("pkg/__init__.py", "pkg/train.py", "src/inner/train.py", "top.py"):
        write(path, "")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/train.py").touch()
    (project / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises((ConfigError, RequestError)) as caught:
        compose(overrides, root=project).script.check()

    assert part in str(caught.value)


def test_a_module_and_a_script_exclude_each_other_and_a_name_is_recognised(
    project: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("scripts/deep/train.py", "")
    write("pkg/train.py", "")
    monkeypatch.chdir(project)

    for words, part in (
        (["-M", "pkg.train", "scripts/deep/train.py"], "only one of them can run"),
        (["pkg.train"], "did you mean -M pkg.train?"),
        (["train.py"], "did you mean "),
        (["train"], "scripts/deep/train.py"),
        (["scripts/deep/train.py", "max_depth=3"], "use +script.arguments.max_depth=3 or `-- --max_depth 3`"),
        (["scripts/deep/train.py", "--max_depth=3"], "-- --max_depth=3"),
        (["script=train_iris", "kernel=rbf"], "use script.arguments.kernel=rbf or `-- --kernel rbf`"),
        (["-m", "script=train_iris", "kernel=rbf,poly"], "script.arguments.kernel=rbf"),
    ):
        with pytest.raises((ConfigError, RequestError)) as caught:
            run.run([*words, "--dry-run"])
        assert part in str(caught.value)


def test_the_preload_of_a_module_follows_its_packages(tree: Path) -> None:
    module = find_module(str(tree), "pkg.sub.train")
    assert module == ("pkg.sub.train", os.path.join("pkg", "sub", "train.py"))

    names = top_imports.certain_imports(str(tree), module[1], module[0])

    assert names[:1] == ["math"]
    assert {"json", "statistics", "numpy", "wave"} <= set(names)
    assert not [name for name in names if name.startswith(("pkg", "top"))]
    assert find_module(str(tree), "pkg") == ("pkg.__main__", os.path.join("pkg", "__main__.py"))
    assert find_module(str(tree), "pkg.nothing") is None
    assert find_module(str(tree), "spaces") is None
