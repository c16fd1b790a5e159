"""The inputs of a script: their names, what is refused, and what their hashes cover."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amlcore.errors import ConfigError, RequestError
from amlcore.script.inputs import Input
from amlcore.script.run_config import ScriptRunConfig
from tests.support.aml import Aml


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.csv").write_text("1")
    (folder / "sub/b.csv").write_text("2")
    return folder


@pytest.mark.parametrize(
    "name", ["../../x", "..", ".", "", "a/b", "/etc", "1st", "_x", "-x", "a b", "a.b", "café", "a\n"]
)
def test_a_name_that_is_no_safe_part_of_a_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"use letters, digits, '_' and '-', starting with a letter"):
        ScriptRunConfig(inputs={name: "data"})


@pytest.mark.parametrize("names", [("x", "X"), ("my-set", "my_set"), ("Data", "dATA")])
def test_names_that_share_a_variable_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"{names[0]} and {names[1]} share the variable AMLCORE_INPUT_"):
        ScriptRunConfig(inputs=dict.fromkeys(names, "data"))


def test_legal_names_are_taken() -> None:
    assert set(ScriptRunConfig(inputs=dict.fromkeys(["x", "Y2", "my-set", "my_file"], "data")).inputs) == {
        "x",
        "Y2",
        "my-set",
        "my_file",
    }


def test_hash_of_a_folder_is_of_names_and_contents(data: Path, tmp_path: Path) -> None:
    before = Input(str(data)).digest()
    shutil.copytree(data, tmp_path / "same")
    (data / "sub/b.csv").rename(data / "sub/c.csv")

    assert Input(str(tmp_path / "same")).digest() == before
    assert before[1] == 2
    assert Input(str(data)).digest() != before


def test_links_are_followed_wherever_they_lead(data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/far.csv").write_text("3")
    (data / "linked").symlink_to(tmp_path / "elsewhere")
    (data / "again").symlink_to("linked")
    (data / "c.csv").symlink_to("a.csv")
    shutil.copytree(data, tmp_path / "whole")  # every link replaced by what it leads to

    before = Input(str(data)).digest()
    assert before == Input(str(tmp_path / "whole")).digest()
    (tmp_path / "elsewhere/far.csv").write_text("4")
    assert Input(str(data)).digest() != before


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


BAD: list[tuple[Callable[[Path], Any], str]] = [
    (os.mkfifo, "is a pipe, a socket or a device"),
    (_socket, "is a pipe, a socket or a device"),
    (lambda path: path.symlink_to("/dev/zero"), "is a pipe, a socket or a device"),
    (lambda path: path.symlink_to("gone"), "is a link to gone, which does not exist"),
    (lambda path: path.symlink_to(path.name), "is a link to bad, which does not exist"),
    (lambda path: path.symlink_to("."), "is a link to a folder that contains it"),
    (lambda path: path.symlink_to(path.parent.parent), "is a link to a folder that contains it"),
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("make", "says"), BAD)
def test_special_files_in_an_input_are_refused_by_name(make: Callable[[Path], Any], says: str, data: Path) -> None:
    make(data / "sub/bad")

    with pytest.raises(RequestError, match=f"script.inputs: {data}/sub/bad.* ?{says}"):
        Input(str(data)).digest()


@pytest.mark.timeout(20)
def test_an_input_that_is_itself_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(RequestError, match=r"pipe is a pipe, a socket or a device"):
        Input(str(tmp_path / "pipe")).digest()


def test_two_links_that_lead_to_each_other_are_a_loop(data: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (data / "there").symlink_to(tmp_path / "other")
    (tmp_path / "other/back").symlink_to(data)

    with pytest.raises(RequestError, match="data/there/back is a link to a folder that contains it"):
        Input(str(data)).digest()


@pytest.mark.parametrize("what", ["pipe", "dangling", "loop"])
def test_a_bad_input_stops_the_run_before_it_starts(
    what: str, aml: Aml, write: Callable[[str, str], Path], project: Path
) -> None:
    write("train.py", "print('ran')")
    write("set/a.csv", "1")
    bad = project / "set/bad"
    if what == "pipe":
        os.mkfifo(bad)
    else:
        bad.symlink_to("gone" if what == "dangling" else ".")

    said = aml("run", "train.py", "environment=current", "+script.inputs.data=set", status=2)

    assert "set/bad" in said.err
    assert "Traceback" not in said.err
    assert list((project / "outputs").iterdir()) == []


# Where the script lies


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "s"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.py").write_text("")
    (folder / "sub/b.py").write_text("")
    return folder


@pytest.mark.parametrize(
    ("script", "inside"), [("../s/a.py", "a.py"), ("sub/../a.py", "a.py"), ("../s/sub/b.py", "sub/b.py"), ("/", "a.py")]
)
def test_a_script_is_named_inside_its_source(script: str, inside: str, source: Path) -> None:
    script = str(source / "a.py") if script == "/" else script

    with pytest.raises(ConfigError, match=f"must be a path inside script.source_directory: {inside}$"):
        ScriptRunConfig(str(source), script).check()


def test_a_script_outside_its_source_is_refused(source: Path) -> None:
    (source.parent / "out.py").write_text("")
    (source.parent / "back.py").symlink_to(source / "a.py")
    (source / "leak.py").symlink_to("../out.py")

    for script in ("../out.py", "../back.py", "leak.py"):
        with pytest.raises(RequestError, match="lies outside"):
            ScriptRunConfig(str(source), script).check()


def test_a_script_may_be_a_link_within_its_source(source: Path) -> None:
    (source / "link.py").symlink_to("sub/b.py")

    for script in ("link.py", "./a.py", "sub/b.py"):
        ScriptRunConfig(str(source), script).check()
