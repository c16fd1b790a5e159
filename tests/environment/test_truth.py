"""A resolution is reused while it is valid, and its age is logged; several indexes are treated as pip treats them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from amlcore.environment import Environment, prune
from amlcore.environment.build import ago
from amlcore.environment.cache_layout import CacheLayout
from amlcore.errors import BuildError
from tests.support.aml import Aml
from tests.support.wheels import wheel

Build = Callable[..., str]


def run(python: Path, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: the test's own output is for its failures."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    """An index of Python packages over `tmp_path/index`, on loopback."""
    (tmp_path / "index").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "index")))
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/"


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def build(tmp_path: Path, log: list[str]) -> Build:
    """Build an environment and return the version of the module `aml_mine` in it."""

    def call(*packages: str, **how: bool) -> str:
        log.clear()
        environment = Environment("e", packages=[*packages])
        built = environment.build(root=tmp_path, cache=tmp_path / "cache", log=log.append, **how)
        return run(built.python, "import aml_mine; print(aml_mine.VERSION)")

    return call


def test_a_folder_of_wheels_is_looked_at_each_time(tmp_path: Path, build: Build, log: list[str]) -> None:
    wheels = tmp_path / "wheels"
    local = partial(build, f"--find-links {wheels}", "--no-index", "aml_mine")
    wheel(wheels, "aml_mine", "1.0")
    assert local() == "1.0"
    (wheels / "notes.txt").write_text("of nobody's concern")
    (wheels / "gone-1.0-py3-none-any.whl").symlink_to("nowhere")
    assert local() == "1.0"
    assert any("already built, resolved just now; build log:" in line for line in log)
    wheel(wheels, "aml_mine", "2.0")
    assert local() == "2.0"
    (wheels / "aml_mine-2.0-py3-none-any.whl").unlink()
    assert local() == "1.0"
    wheel(wheels, "aml_mine", "1.0", text="VERSION = '1.0 again'\n")
    assert local() == "1.0 again"


def test_the_machines_index_is_asked_once_until_an_upgrade(
    tmp_path: Path, build: Build, log: list[str], index: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", url(index))
    wheel(tmp_path / "index/aml-mine", "aml_mine", "1.0")
    assert build("aml_mine") == "1.0"
    wheel(tmp_path / "index/aml-mine", "aml_mine", "2.0")
    (resolved,) = CacheLayout(tmp_path / "cache").locks.glob("*.txt")
    long_ago = time.time() - 12 * 86400
    os.utime(resolved, (long_ago, long_ago))
    assert build("aml_mine") == "1.0"
    assert any("resolved 12 days ago" in line for line in log)
    prune(tmp_path / "cache", unused_days=5)
    assert build("aml_mine") == "1.0"  # it was used just now, however old it is
    assert any("resolved 12 days ago" in line for line in log)
    assert build("aml_mine", upgrade=True) == "2.0"
    assert build("aml_mine") == "2.0"
    monkeypatch.setenv("UV_DEFAULT_INDEX", url(index) + "gone/")
    with pytest.raises(BuildError, match="aml-mine was not found"):
        build("aml_mine")


def test_an_index_of_ones_own_is_asked_each_time(
    tmp_path: Path, build: Build, log: list[str], index: ThreadingHTTPServer
) -> None:
    own = partial(build, f"--index-url {url(index)}", "aml_mine")
    wheel(tmp_path / "index/aml-mine", "aml_mine", "1.0")
    assert own() == "1.0"
    wheel(tmp_path / "index/aml-mine", "aml_mine", "2.0")
    assert own() == "2.0"
    assert any("resolving again (its own index)" in line for line in log)
    index.shutdown()
    index.server_close()
    assert own() == "2.0"
    assert any("cannot be resolved again; using the resolution of just now" in line for line in log)


def test_a_branch_is_followed_and_a_commit_is_not_asked_for_again(tmp_path: Path, build: Build, log: list[str]) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org"]

    def commit(version: str) -> str:
        (repository / "aml_mine.py").write_text(f"VERSION = '{version}'\n")
        backend = f"""
import pathlib, sys
def build_wheel(directory, config_settings=None, metadata_directory=None):
    sys.path.insert(0, {str(Path(__file__).parents[2])!r})
    from tests.support.wheels import wheel
    wheel(pathlib.Path(directory), "aml_mine", "{version}")
    return "aml_mine-{version}-py3-none-any.whl"
"""
        (repository / "backend.py").write_text(backend)
        project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        (repository / "pyproject.toml").write_text(f'{project}[project]\nname = "aml_mine"\nversion = "{version}"\n')
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", version], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    first = commit("1.0")
    address = f"aml_mine @ git+file://{repository}"
    assert build(f"{address}@main") == "1.0"
    commit("2.0")
    assert build(f"{address}@main") == "2.0"
    assert any("resolving again (a branch)" in line for line in log)
    assert [build(f"{address}@{first}"), build(f"{address}@{first}")] == ["1.0", "1.0"]
    assert any("already built" in line for line in log)


def test_several_indexes_are_taken_as_pip_does_unless_it_is_said(
    tmp_path: Path, build: Build, log: list[str], index: ThreadingHTTPServer
) -> None:
    wheel(tmp_path / "index/own/aml-mine", "aml_mine", "1.0")
    wheel(tmp_path / "index/all/aml-mine", "aml_mine", "2.0")
    indexes = (f"--index-url {url(index)}all/", f"--extra-index-url {url(index)}own/")
    assert build(*indexes, "aml_mine") == "2.0"
    assert any("newest version in all indexes" in line for line in log)
    assert build(*indexes, "--index-strategy first-index", "aml_mine") == "1.0"
    assert not any("newest version in all indexes" in line for line in log)
    with pytest.raises(
        BuildError, match=r"with amlcore, write `--index-strategy unsafe-best-match` as a line of"
    ) as caught:
        build(*indexes, "--index-strategy=first-index", "aml_mine>=2")
    assert "environment.add" in str(caught.value)
    assert build(*indexes, "--index-strategy unsafe-best-match", "aml_mine>=2") == "2.0"
    wheel(tmp_path / "index/all/aml-mine", "aml_mine", "3.0rc1")
    assert build(*indexes, "--prerelease=allow", "aml_mine") == "3.0rc1"
    assert build(*indexes, "--resolution lowest", "--trusted-host 127.0.0.1", "aml_mine") == "1.0"


def test_an_environment_is_upgraded_on_the_command_line(aml: Aml, tmp_path: Path, index: ThreadingHTTPServer) -> None:
    words = ["env", "build", "environment.packages=[aml_mine]", "workspace.environments_folder=environments"]
    env = {"UV_DEFAULT_INDEX": url(index)}
    wheel(tmp_path / "index/aml-mine", "aml_mine", "1.0")
    first = aml(*words, env=env)
    wheel(tmp_path / "index/aml-mine", "aml_mine", "2.0")

    assert aml(*words, env=env).out == first.out
    assert aml(*words, "--upgrade", env=env).out != first.out


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (61, "a minute ago"),
        (600, "10 min ago"),
        (7300, "2 h ago"),
        (1e6, "12 days ago"),
    ],
)
def test_an_age_as_people_say_it(seconds: float, words: str) -> None:
    assert ago(seconds) == words
