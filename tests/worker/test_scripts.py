"""Ordinary scripts behave in a worker, warm or cold, as under plain python."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from amlcore.worker.process.top_imports import certain_imports
from tests.support.aml import Aml
from tests.support.worker_queue import HandmadeQueue, err

SCRIPTS = Path(__file__).parent / "scripts"

CASES = [
    ("train_argparse.py", ("--kernel", "rbf", "--penalty", "0.5")),
    ("train_argparse.py", ("--penalty", "much")),
    ("argparse_error.py", ()),
    ("click_app.py", ("iris",)),
    ("click_app.py", ("--size", "5", "iris")),
    ("click_app.py", ("--help",)),
    ("sysargv_noguard.py", ("0.5",)),
    ("helper_beside.py", ()),
    ("writes_outputs.py", ()),
    ("figures.py", ()),
    ("joblib_two.py", ()),
    ("multi.py", ()),
    ("warns.py", ()),
    ("exits.py", ("0",)),
    ("exits.py", ("3",)),
    ("exits.py", ("-1",)),
    ("exits.py", ("text",)),
    ("exits.py", ("raise",)),
    ("exits.py", ("float",)),
    ("exits.py", ("interrupt",)),
    ("exits.py", ("hook",)),
    ("reads_stdin.py", ()),
    ("syntax_error.py", ()),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' folder with bytecode ignored, as a snapshot has it."""
    return Path(shutil.copytree(SCRIPTS, tmp_path_factory.mktemp("source") / "scripts"))


@pytest.fixture(scope="module")
def plain(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], tuple[bytes, str, int]]:
    """What plain python makes of each case: stdout, stderr without its folder, exit status."""
    said = {}
    for number, (script, arguments) in enumerate(CASES):
        folder = shutil.copytree(source, tmp_path_factory.mktemp("plain") / str(number))
        (folder / "outputs").mkdir()
        done = subprocess.run(
            [sys.executable, script, *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        said[script, *arguments] = (done.stdout, done.stderr.decode().replace(str(folder), ""), done.returncode)
    return said


@pytest.fixture(scope="module", params=["cold", "warm"])
def queue(
    request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HandmadeQueue]:
    warm = sorted({name for script, _ in CASES for name in certain_imports(str(source), script)})
    queue = HandmadeQueue(tmp_path_factory.mktemp("queue"), preload=warm if request.param == "warm" else [])
    queue.start()
    yield queue
    queue.close()
    assert not Path(queue.layout.log).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("script", "arguments"), CASES)
def test_same_stdout_and_status_as_plain_python(
    script: str,
    arguments: tuple[str, ...],
    source: Path,
    queue: HandmadeQueue,
    plain: dict[tuple[str, ...], tuple[bytes, str, int]],
) -> None:
    run, result = queue.run(source, script, arguments)

    status = -result["signal"] if result["exit_status"] is None else result["exit_status"]
    said = (Path(run.stdout).read_bytes(), err(run).replace(run.attempt(1).work, ""), status)
    expected = plain[script, *arguments]
    assert said[0] == expected[0]
    assert said[2] == expected[2]
    assert said[1] == expected[1]
    assert (result["reason"], result["message"]) == (None, None)


@pytest.mark.slow
@pytest.mark.parametrize(("script", "arguments"), CASES)
def test_same_stdout_and_status_through_aml_run(
    script: str,
    arguments: tuple[str, ...],
    source: Path,
    aml: Aml,
    plain: dict[tuple[str, ...], tuple[bytes, str, int]],
) -> None:
    stdout, _, returncode = plain[script, *arguments]
    by_signal = returncode < 0  # as a shell tells it: 128 and the signal's number

    said = aml(
        *("run", str(source / script), "environment=current", "--", *arguments),
        status=128 - returncode if by_signal else returncode,
    )

    assert said.out.encode() == stdout
