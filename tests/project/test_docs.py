"""README and docs/: every command in them runs and prints what they show, and every key is on its page."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import MISSING, Field, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from amlcore.compute import Local, Slurm
from amlcore.config import compose
from amlcore.environment import Environment
from amlcore.model import Registration, ResourceConfiguration
from amlcore.script.inputs import Input
from amlcore.script.run_config import ScriptRunConfig
from amlcore.serving.deployment import Deployment
from amlcore.sweep import EarlyTermination, Sweep
from amlcore.worker.layout import AttemptLayout, QueueLayout, RunLayout
from amlcore.workspace import Workspace
from tests.support.compute_conformance import require
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAGES = [ROOT / "README.md", *sorted(set((ROOT / "docs").glob("*.md")) - {ROOT / "docs/architecture.md"})]
FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
DEFAULTS_ROW = re.compile(r"^\| `(?P<key>[^`]+)` \| (?P<default>[^|]+) \|", re.MULTILINE)
MARK = "\x1e"
PAGE_S = 900

PORTS = ("3000", "3001", "3002")
"""Those that the pages name; free ones stand in for them."""

NOT_RUN = {
    "git clone <address of this repository> amlcore\ncd amlcore\nmake run\n": "has a test of its own, in this checkout",
    "sudo install -d -m 700 -o 1034 /srv/keys\n"
    "sudo install -m 400 -o 1034 .amlcore/keys/guarded.json /srv/keys\n"
    "docker run -p 3000:3000 -v /srv/keys:/keys:ro -e AMLCORE_SERVICE_KEYS=/keys/guarded.json IMAGE\n": (
        "needs an image, which tests/serving/test_container.py makes"
    ),
    'export PATH="$PWD/.venv/bin:$PATH"\n': "is what every page is run with",
}

GROUPS: dict[str, list[tuple[str, type]]] = {
    "workspace": [("workspace", Workspace)],
    "environment": [("environment", Environment)],
    "compute": [("compute", Local)],
    "slurm": [("compute", Slurm)],
    "script": [("script", ScriptRunConfig), ("script.inputs.NAME", Input)],
    "model": [("model", Registration), ("model.resource_configuration", ResourceConfiguration)],
    "sweep": [("sweep", Sweep), ("sweep.early_termination", EarlyTermination)],
    "deployment": [("deployment", Deployment)],
}


@dataclass(frozen=True)
class Block:
    """A fenced block: `sh` and `python` are run, `sh fails` must fail line by line, `text` is what they printed."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Done:
    """A page whose commands were run."""

    status: int
    printed: str
    left: list[str]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["kind"], found["text"], text.count("\n", 0, found.start()) + 1) for found in FENCE.finditer(text)
    ]


def program_of(blocks: list[Block], *, folder: Path) -> str:
    """One bash program of all blocks, each announced by its number; python blocks in a row are one program."""
    parts = ["set -euo pipefail", "exec 2>&1"]
    python = ""
    for number, block in enumerate(blocks):
        follows = next((after.kind for after in blocks[number + 1 :] if after.kind != "text"), None)
        if block.kind == "sh":
            parts += [_announced(number), block.text]
        elif block.kind == "sh fails":
            parts.append(_announced(number))
            for line in block.text.splitlines():
                *first, last = line.split("; ")
                parts += [*first, f"if {last}; then echo {MARK}succeeded; exit 97; fi"]
        elif block.kind == "python":
            python += f"print('{MARK}{number}', flush=True)\n{block.text}"
            if follows != "python":
                script = folder / f"block{number}.py"
                script.write_text(python, encoding="utf-8")
                parts.append(f"python -W error::SyntaxWarning {script}")
                python = ""
    return "\n".join(parts) + "\n"


def _announced(number: int) -> str:
    return f"printf '\\n{MARK}{number}\\n'"


def run_bash(program: str, *, folder: Path, home: Path) -> Done:
    """Run `program` in `folder`; its output goes to a file, so that nothing left behind can hold a pipe open."""
    output = folder.with_suffix(".out")
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "BENTOML_HOME": str(home)}
    environment.pop("AMLCORE_RUN", None)
    with output.open("wb") as stream:
        bash = subprocess.Popen(
            ["bash", "-c", program],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            status = bash.wait(PAGE_S)
        finally:
            left = _end_all(bash.pid, folder)
            bash.wait()
    return Done(status, output.read_text(encoding="utf-8", errors="replace"), left)


def _end_all(group: int, folder: Path, *, wait_s: float = 20.0) -> list[str]:
    """What is still alive some seconds after the page, of its process group or in its folder; it is ended then."""
    until = time.monotonic() + wait_s
    while (alive := _alive(group, folder)) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    return list(alive.values())


def _alive(group: int, folder: Path) -> dict[int, str]:
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, _, pgrp = (process / "stat").read_text().rpartition(")")[2].split()[:3]
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            here = Path(os.readlink(process / "cwd")).is_relative_to(folder) or str(folder) in command
        except OSError:  # it has ended meanwhile, or is another user's
            continue
        if state not in "ZX" and (int(pgrp) == group or here):
            found[int(process.name)] = command
    return found


def lines_of(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def missing_line(shown: str, printed: str) -> str | None:
    """The first line of `shown` that was not printed, in the order shown; `…` stands for anything within a line."""
    rest = iter(lines_of(printed))
    for line in lines_of(shown):
        pattern = re.compile(r"\s*.*\s*".join(re.escape(part.strip()) for part in line.split("…")))
        if line and not any(pattern.fullmatch(found) for found in rest):
            return line
    return None


def check_shown(page: Path, blocks: list[Block], printed: str) -> None:
    """Make sure that each `text` block is what the blocks between it and the one before printed."""
    parts = {}
    for part in re.split(f"^{MARK}", printed, flags=re.MULTILINE)[1:]:
        number, _, text = part.partition("\n")
        parts[number] = text
    begin = 0
    for number, block in enumerate(blocks):
        if block.kind != "text":
            continue
        between = "".join(parts.get(str(before), "") for before in range(begin, number))
        begin = number + 1
        line = missing_line(block.text, between)
        assert line is None, f"{page.name}:{block.line}: was not printed: {line}\n--- printed:\n{between}"


@pytest.mark.slow
@pytest.mark.timeout(PAGE_S + 60)
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slurm] * (page.stem == "slurm"), id=page.stem) for page in PAGES]
)
def test_the_commands_of_a_page_run_and_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    blocks = blocks_of(page)
    consoles = [number for number, block in enumerate(blocks) if block.kind == "console"]
    if page.stem == "README":
        blocks = blocks[max(consoles, default=-1) + 1 :]  # what is shown before is the test of `make run`
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    blocks = [replace(block, text=re.sub("|".join(PORTS), lambda port: ports[port[0]], block.text)) for block in blocks]
    if any("curl " in block.text for block in blocks) and shutil.which("curl") is None:
        pytest.skip("the page calls curl, and this machine has none")
    if page.stem == "slurm":
        require("scontrol", variable="AMLCORE_REQUIRE_SLURM")
    folder = tmp_path / "page"
    folder.mkdir()

    done = run_bash(program_of(blocks, folder=tmp_path), folder=folder, home=tmp_path / "bentoml")

    assert done.status == 0, f"{page.name}: exit status {done.status}\n{done.printed}"
    assert done.left == [], f"{page.name} left processes running"
    check_shown(page, blocks, done.printed)


@pytest.mark.slow
@pytest.mark.timeout(PAGE_S + 60)
def test_make_run_prints_what_the_readme_shows(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("this machine has no make")
    page = ROOT / "README.md"
    shown = next(block for block in blocks_of(page) if block.kind == "text")
    folder = tmp_path / "empty"
    folder.mkdir()

    # What is installed stays as it is: the target that installs counts as up to date.
    program = f"exec 2>&1; make -C '{ROOT}' -o .venv/installed run"
    done = run_bash(program, folder=folder, home=tmp_path / "bentoml")

    assert done.status == 0, done.printed
    assert done.left == []
    assert missing_line(shown.text, done.printed) is None, done.printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_run_or_has_a_reason_not_to_be(page: Path) -> None:
    blocks = blocks_of(page)

    assert blocks
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(blocks)
    for block in blocks:
        assert block.kind in ("sh", "sh fails", "python", "text", "console"), f"{page.name}:{block.line}"
        if block.kind == "console":
            assert block.text in NOT_RUN, f"{page.name}:{block.line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).is_file(), target


@pytest.mark.parametrize("group", GROUPS)
def test_every_key_of_a_group_is_on_its_page_with_its_default(group: str, project: Path) -> None:
    text = (ROOT / f"docs/{group}.md").read_text(encoding="utf-8")
    shown = {found["key"]: found["default"].strip() for found in DEFAULTS_ROW.finditer(text)}
    known = {
        f"{prefix}.{field.name}": _defaults(prefix, field, project, noun=noun)
        for prefix, noun in GROUPS[group]
        for field in fields(noun)
        if not field.metadata.get("omegaconf_ignore")
    }

    assert {key for key in shown if key.startswith(f"{GROUPS[group][0][0]}.")} == set(known)
    for key, defaults in known.items():
        if literal := re.fullmatch(r"`([^`]*)`", shown[key]):
            assert yaml.safe_load(literal[1]) in defaults, f"{key}: the default is one of {defaults}"
        else:
            assert defaults, key
            assert defaults[-1] is None or (isinstance(defaults[-1], dict | list) and defaults[-1]), key


def _defaults(prefix: str, field: Field[Any], project: Path, *, noun: type) -> list[Any]:
    """What a key is when nobody says anything: the dataclass's own default, and what the shipped conf/ makes of it."""
    own = field.default if field.default is not MISSING else None
    if field.default_factory is not MISSING:
        own = field.default_factory()
    compute = "slurm" if noun is Slurm else "local"
    node: Any = compose(["deployment=bento", f"compute={compute}"], root=project)
    for name in [*prefix.split("."), field.name]:
        if not hasattr(node, name):
            return [own]
        node = getattr(node, name)
    return [own, node]


def test_every_file_of_a_run_is_on_the_page_of_files() -> None:
    text = (ROOT / "docs/files.md").read_text(encoding="utf-8")
    for layout in (RunLayout("/x"), AttemptLayout("/x"), QueueLayout("/x")):
        for name, path in vars(layout).items():
            if name != "folder":
                assert re.search(rf"[`/]{re.escape(Path(path).name)}[`/]", text), path


def test_every_verb_is_in_the_readme() -> None:
    said = subprocess.run([BIN / "aml", "--help"], capture_output=True, text=True, check=True).stdout
    verbs = re.findall(r"^    ([a-z]+)\s", said, re.MULTILINE)

    assert len(verbs) > 10
    for verb in verbs:
        assert f"| `aml {verb}" in (ROOT / "README.md").read_text(encoding="utf-8"), verb


def test_a_shown_line_that_was_not_printed_is_found() -> None:
    assert missing_line("a … c\n\nd", "a b c\nx\n  d  e\nd\n") is None
    assert missing_line("a\nb", "b\na\n") == "b"
    assert missing_line("run … is Canceled", "run 1 is Failed") == "run … is Canceled"
