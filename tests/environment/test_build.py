"""Environments built by the real uv: once for each content, never half built, never removed while in use."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from amlcore.environment import Environment, build_lock, extend_lock, list_environments, prune
from amlcore.errors import BuildError, EnvironmentSpecError
from amlcore.serving.bento import Bento
from amlcore.serving.launch import start
from tests.support.wheels import wheel

BUILD = """
import json, sys, time
from pathlib import Path
from amlcore.environment import Environment
from amlcore.errors import AmlcoreError

fields, root, cache, start = json.loads(sys.argv[1]), *map(Path, sys.argv[2:5])
while not start.exists():
    time.sleep(0.005)
try:
    built = Environment("e", **fields).build(root=root, cache=cache, log=lambda line: print(line, flush=True))
    print(built.python)
except AmlcoreError as error:
    sys.exit(str(error))
"""


def slow_sdist(folder: Path, wheels: Path, marks: Path) -> None:
    """Writes a source distribution whose build reports its start, and then waits for permission to end."""
    import io
    import tarfile

    folder.mkdir(exist_ok=True)
    marks.mkdir()
    backend = f"""
        import os, shutil, time
        from pathlib import Path

        def build_wheel(directory, config_settings=None, metadata_directory=None):
            marks = Path({str(marks)!r})
            (marks / "began").write_text(str(os.getpid()))
            while not (marks / "go").exists():
                time.sleep(0.02)
            shutil.copy(Path({str(wheels)!r}) / "aml_slow-1.0-py3-none-any.whl", directory)
            return "aml_slow-1.0-py3-none-any.whl"
    """
    files = {
        "PKG-INFO": "Metadata-Version: 2.2\nName: aml_slow\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "aml_slow"\nversion = "1.0"\n',
        "backend.py": dedent(backend),
    }
    with tarfile.open(folder / "aml_slow-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"aml_slow-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def builder(fields: dict, *, root: Path, cache: Path, start: Path | None = None, **variables: str) -> subprocess.Popen:
    """Another process that builds an environment; it waits for `start` to exist."""
    arguments = [json.dumps(fields), str(root), str(cache), str(start or root)]
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def wait_for(condition, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def run(python: Path, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def log():
    return []


@pytest.fixture
def build(tmp_path, cache, log):
    """Builds an environment from packages of the index."""

    def call(*packages: str, name: str = "e", **fields):
        environment = Environment(name, packages=[*packages], **fields)
        return environment.build(root=tmp_path, cache=cache, log=log.append)

    return call


@pytest.fixture
def build_local(tmp_path, build):
    """Builds an environment only from the wheels in the folder `wheels`."""
    (tmp_path / "wheels").mkdir()

    def call(*packages: str, **fields):
        return build(f"--find-links {tmp_path / 'wheels'}", "--no-index", *packages, **fields)

    return call


@pytest.fixture
def slow(tmp_path):
    """The fields of an environment whose build takes until `marks/go` exists."""
    wheel(tmp_path / "built", "aml_slow", "1.0")
    slow_sdist(tmp_path / "wheels", tmp_path / "built", tmp_path / "marks")
    yield {"packages": [f"--find-links {tmp_path / 'wheels'}", "--no-index", "aml_slow"]}
    (tmp_path / "marks" / "go").touch()


def test_package_of_the_index(build, log):
    built = build("six==1.17.0")
    assert run(built.python, "import six, sys; print(six.__version__, sys.prefix)") == f"1.17.0 {built.folder}/venv"
    assert built.python_version == ".".join(map(str, sys.version_info[:3]))
    assert built.lock.startswith("six==1.17.0 \\\n    --hash=sha256:")
    assert "://" not in built.lock
    assert list(built.folder.glob("venv/lib/*/site-packages/__pycache__/six.*.pyc"))
    assert " + six==1.17.0" in log
    assert " + six==1.17.0" in (built.folder / "build.log").read_text()


def test_no_requirements_give_a_bare_interpreter(tmp_path, cache, log):
    built = Environment("bare").build(root=tmp_path, cache=cache, log=log.append)
    assert run(built.python, "import sys; print(sys.prefix != sys.base_prefix)") == "True"


def test_a_ready_environment_needs_neither_uv_nor_the_index(tmp_path, cache, log):
    fields = {"packages": ["six==1.17.0"]}
    Environment("e", **fields).build(root=tmp_path, cache=cache, log=log.append)
    (tmp_path / "without" / "uv").mkdir(parents=True)
    (tmp_path / "without" / "uv" / "__init__.py").write_text("raise ImportError")
    variables = {"PYTHONPATH": str(tmp_path / "without"), "PATH": "/nowhere", "UV_OFFLINE": "1"}
    out, err = builder(fields, root=tmp_path, cache=cache, **variables).communicate()
    assert "already built" in out
    assert not err
    out, err = builder({"packages": ["joblib"]}, root=tmp_path, cache=cache, **variables).communicate()
    assert err.startswith("cannot find uv")


def test_a_ready_environment_is_found_without_a_process(tmp_path, build_local, monkeypatch):
    def refused(command, **_):
        raise AssertionError(f"started {command}")

    wheel(tmp_path / "wheels", "aml_mine", "1.0")
    built = build_local("aml_mine")
    monkeypatch.setattr("subprocess.Popen", refused)
    monkeypatch.setattr("subprocess.run", refused)
    assert build_local("aml_mine").key == built.key


def test_change_in_a_nested_file_is_another_environment(tmp_path, build_local):
    wheel(tmp_path / "wheels", "aml_mine", "1.0")
    wheel(tmp_path / "wheels", "aml_mine", "2.0")
    (tmp_path / "requirements.txt").write_text("-r base.txt\n")
    (tmp_path / "base.txt").write_text("aml_mine==1.0\n")
    first = build_local(file="requirements.txt")
    (tmp_path / "base.txt").write_text("aml_mine==2.0\n")
    second = build_local(file="requirements.txt")
    assert first.key != second.key
    assert run(second.python, "import aml_mine; print(aml_mine.VERSION)") == "2.0"


def test_same_content_is_one_environment(tmp_path, cache, build_local):
    wheel(tmp_path / "wheels", "aml_mine", "1.0")
    assert build_local("aml_mine", name="a").key == build_local("aml_mine==1.0", name="b").key
    (one,) = list_environments(cache)
    assert one.names == ("a", "b")
    assert one.ready
    assert one.size_bytes > 1000
    assert one.created <= one.last_used


def test_unresolvable_says_why_in_the_resolvers_words(tmp_path, cache, build_local):
    wheel(tmp_path / "wheels", "aml_mine", "1.0", needs=("aml_other<1",))
    wheel(tmp_path / "wheels", "aml_other", "1.0")
    with pytest.raises(BuildError, match=r"environment 'e' cannot be resolved for Python 3[^:]*:\nerror: ") as caught:
        build_local("aml_mine", "aml_other==1.0")
    assert "aml-other<1" in str(caught.value)
    assert "aml-other==1.0" in str(caught.value)
    assert list_environments(cache) == []


def test_failed_installation_leaves_nothing_ready(tmp_path, cache, build_local, log):
    wheel(tmp_path / "wheels", "aml_mine", "1.0")
    built = build_local("aml_mine")
    wrong = re.sub(r"sha256:\w{8}", "sha256:00000000", built.lock)
    with pytest.raises(BuildError, match="environment of the lock cannot be installed"):
        build_lock(wrong, python_version=built.python_version, cache=cache, log=log.append)
    assert [one.key for one in list_environments(cache)] == [built.key]


def test_hashes_that_were_asked_for_hold(tmp_path, build):
    with pytest.raises(BuildError, match="no file in the index has a hash that the requirement lists"):
        build("six==1.17.0 --hash=sha256:" + "0" * 64)


def test_eight_at_once_build_once(tmp_path, cache):
    start = tmp_path / "start"
    asking = [builder({"packages": ["six"]}, root=tmp_path, cache=cache, start=start) for _ in range(8)]
    start.touch()
    said = [process.communicate()[0].splitlines() for process in asking]
    for step in (": resolving for Python", ": building for Python"):
        assert sum(any(step in line for line in lines) for lines in said) == 1
    waited = [sum("waiting for another process that is building it" in line for line in lines) for lines in said]
    assert set(waited) == {0, 1}
    assert len({lines[-1] for lines in said}) == 1
    assert Path(said[0][-1]).exists()


def test_interrupted_build_ends_its_children_and_is_not_trusted(tmp_path, cache, slow):
    process = builder(slow, root=tmp_path, cache=cache, UV_CACHE_DIR=str(tmp_path / "uv"))
    began = tmp_path / "marks" / "began"
    wait_for(lambda: began.exists() and began.read_text())
    process.send_signal(signal.SIGINT)
    process.communicate()
    wait_for(lambda: not is_running(int(began.read_text())))
    assert not any(one.ready for one in list_environments(cache))
    (tmp_path / "marks" / "go").touch()
    out, _ = builder(slow, root=tmp_path, cache=cache, UV_CACHE_DIR=str(tmp_path / "uv")).communicate()
    assert run(Path(out.splitlines()[-1]), "import aml_slow; print(aml_slow.VERSION)") == "1.0"


def test_killed_builder_is_followed_only_when_its_uv_has_ended(tmp_path, cache, slow):
    killed = builder(slow, root=tmp_path, cache=cache, UV_CACHE_DIR=str(tmp_path / "uv"))
    wait_for((tmp_path / "marks" / "began").exists)
    killed.kill()
    killed.communicate()
    follower = builder(slow, root=tmp_path, cache=cache, UV_CACHE_DIR=str(tmp_path / "uv"))
    assert follower.stdout is not None
    assert any("waiting for another process that is building it" in line for line in follower.stdout)
    (tmp_path / "marks" / "go").touch()
    out, _ = follower.communicate()
    assert ": building for Python" in out
    assert run(Path(out.splitlines()[-1]), "import aml_slow; print(aml_slow.VERSION)") == "1.0"


def test_a_half_built_environment_is_rebuilt(tmp_path, build_local):
    wheel(tmp_path / "wheels", "aml_mine", "1.0")
    built = build_local("aml_mine")
    (built.folder / "ready.json").unlink()
    (built.folder / "venv" / "pyvenv.cfg").unlink()
    assert build_local("aml_mine") == built
    assert run(built.python, "import aml_mine; print(aml_mine.VERSION)") == "1.0"


def test_prune_leaves_what_is_held(tmp_path, cache, build_local, log):
    wheel(tmp_path / "wheels", "aml_mine", "1.0")
    built = build_local("aml_mine")
    with built.shared_lock() as held:
        user = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(held.fileno(),))
    assert prune(cache, unused_days=0) == []
    user.communicate(b"\n")
    assert prune(cache, unused_days=1) == []
    assert [one.key for one in prune(cache, unused_days=0, log=log.append)] == [built.key]
    assert log[-1].startswith("removed e (Python 3")
    assert list(cache.glob("[0-9a-f]*")) == []
    with pytest.raises(BuildError, match="was removed after it was built"):
        built.shared_lock()


def test_an_environment_just_found_is_not_pruned(tmp_path, cache):
    wheel(tmp_path / "wheels", "aml_mine", "1.0")
    environment = Environment("e", packages=[f"--find-links {tmp_path / 'wheels'}", "--no-index", "aml_mine"])
    built = environment.build(root=tmp_path, cache=cache, log=lambda _: None)
    long_ago = time.time() - 10 * 86400
    os.utime(built.folder / "ready.json", (long_ago, long_ago))
    pruned = []

    def prune_meanwhile(line: str) -> None:
        assert "already built" in line
        pruned.extend(prune(cache, unused_days=5))

    options = "is used for the build"
    environment.build(root=tmp_path, cache=cache, log=lambda line: None if options in line else prune_meanwhile(line))
    assert pruned == []
    built.shared_lock().close()


@pytest.mark.parametrize("way", ["background", "foreground"])
def test_prune_leaves_what_a_service_runs_in(way, tmp_path, cache):
    built = Environment("e").build(root=tmp_path, cache=cache, log=lambda _: None)
    (site,) = built.folder.glob("venv/lib/*/site-packages")
    # In place of the real one, which takes seconds to start.
    (site / "bentoml.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)\n")
    bento = Bento("service", "1", tmp_path, "2026-01-01T00:00:00+00:00", {})
    (tmp_path / "src/model").mkdir(parents=True)
    (tmp_path / "src/model/model.json").write_text('{"methods": ["predict"]}')
    if way == "background":
        folder = tmp_path / "services" / "service"
        service = start(bento, python=built.python, folder=folder)
        wait_for((folder / "begun").exists)
        assert prune(cache, unused_days=0) == []
        service.delete()
    else:
        code = (
            "import sys\nfrom pathlib import Path\nfrom amlcore.serving.bento import Bento\n"
            "from amlcore.serving.launch import serve_in_foreground\n"
            "serve_in_foreground(Bento('service', '1', Path(sys.argv[2]), '', {}), python=Path(sys.argv[1]))\n"
        )
        server = subprocess.Popen([sys.executable, "-c", code, str(built.python), str(tmp_path)])
        wait_for((tmp_path / "begun").exists)
        assert prune(cache, unused_days=0) == []
        server.terminate()
        server.wait()
    assert [one.key for one in prune(cache, unused_days=0)] == [built.key]


def test_prune_keeps_to_its_own(cache):
    (cache / "photos").mkdir(parents=True)
    assert prune(cache, unused_days=0) == []
    assert (cache / "photos").exists()


def test_cache_that_cannot_be_written(tmp_path, log):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(BuildError, match="cannot write to the cache of environments"):
        Environment("e").build(root=tmp_path, cache=tmp_path / "cache", log=log.append)


def test_lock_builds_the_same_environment(tmp_path, cache, build, log):
    built = build("six==1.17.0")
    again = build_lock(built.lock, python_version=built.python_version, cache=cache, log=log.append)
    assert (again.key, again.python) == (built.key, built.python)


def test_extended_lock_keeps_what_it_held(tmp_path, build, log):
    built = build("attrs==24.2.0")
    lock = extend_lock(built.lock, ["cattrs==24.1.2"], python=built.python, log=log.append)
    assert built.lock in lock
    assert "\ncattrs==24.1.2 \\\n    --hash=sha256:" in lock
    assert "://" not in lock


def test_extended_lock_that_conflicts_names_the_package(tmp_path, build, log):
    built = build("attrs==19.1.0")
    with pytest.raises(BuildError, match=r"cattrs==24.1.2 does not fit the locked packages:\n[^$]*attrs>=23"):
        extend_lock(built.lock, ["cattrs==24.1.2"], python=built.python, log=log.append)


def test_current_is_this_interpreter(tmp_path, cache, log):
    environment = Environment("current", user_managed_dependencies=True)
    built = environment.build(root=tmp_path, cache=cache, log=log.append)
    assert (built.python, built.folder) == (Path(sys.executable), None)
    lines = built.lock.splitlines()
    assert any(line.startswith("scikit-learn==") for line in lines)
    assert any(line.startswith("pyyaml==") for line in lines)
    assert not any(line.startswith("amlcore==") for line in lines)
    assert not cache.exists()
    built.shared_lock().close()


def test_missing_python_says_which_there_are_and_what_helps(tmp_path, cache, log):
    (tmp_path / "env.yml").write_text("dependencies:\n  - python=3.29\n")
    with pytest.raises(EnvironmentSpecError) as caught:
        Environment("e", file="env.yml").build(root=tmp_path, cache=cache, log=log.append)
    here = ".".join(map(str, sys.version_info[:2]))
    message = str(caught.value)
    assert message.startswith("env.yml:2: python=3.29 is not installed on this machine, which has 3.")
    assert f"environment.python={here} on the command line" in message
    assert f'Environment(..., python="{here}") in Python' in message


def test_other_patch_of_the_minor_is_used_with_a_note(tmp_path, cache, log):
    major, minor = sys.version_info[:2]
    built = Environment("e", python=f"{major}.{minor}.99").build(root=tmp_path, cache=cache, log=log.append)
    assert built.python_version.startswith(f"{major}.{minor}.")
    (note,) = built.notes
    assert note == f"python {major}.{minor}.99 was requested (environment.python); using {built.python_version}"
    assert f"note: {note}" in log


def test_shims_are_not_taken(tmp_path, cache, log, monkeypatch):
    (tmp_path / "shims").mkdir()
    shim = tmp_path / "shims" / "python3.28"
    shim.write_text("#!/bin/sh\necho 3.28.0; echo cpython; echo /bin/sh\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    with pytest.raises(EnvironmentSpecError, match=r"python 3\.28 is not installed on this machine"):
        Environment("e", python="3.28").build(root=tmp_path, cache=cache, log=log.append)


@pytest.mark.slow
def test_article_runs_on_an_old_python(tmp_path, cache, log):
    text = "dependencies:\n  - python=3.6.2\n  - scikit-learn\n  - numpy\n  - pip:\n    - azureml-defaults\n"
    (tmp_path / "sklearn-env.yml").write_text(text)
    environment = Environment("myenv", file="sklearn-env.yml")
    try:
        built = environment.build(root=tmp_path, cache=cache, log=log.append)
    except EnvironmentSpecError:
        pytest.skip("this machine has no Python 3.6")
    code = "import sys, sklearn.svm; print(sys.version_info[:2], sklearn.svm.SVC().fit([[0], [1]], [0, 1]).classes_)"
    assert run(built.python, code) == "(3, 6) [0 1]"
    assert list(built.folder.glob("venv/lib/*/site-packages/sklearn/__pycache__/base.*.pyc"))
    assert "azureml-defaults (sklearn-env.yml:6) is ignored: amlcore replaces it" in built.notes


@pytest.mark.slow
@pytest.mark.parametrize("option", ["sklearn", "sklearn-1.2"])
def test_curated_environment_trains(tmp_path, cache, log, option):
    import yaml

    fields = yaml.safe_load((Path(__file__).parents[2] / "conf/environment" / f"{option}.yaml").read_text())
    fields.pop("defaults")
    built = Environment(**fields).build(root=tmp_path, cache=cache, log=log.append)
    code = """
        import joblib, matplotlib, numpy, pandas, sklearn
        matplotlib.use("Agg")
        import matplotlib.pyplot
        matplotlib.pyplot.figure()
        from sklearn.datasets import load_iris
        from sklearn.svm import SVC
        rows, classes = load_iris(return_X_y=True, as_frame=True)
        accuracy = SVC(kernel="linear").fit(rows, classes).score(rows, classes)
        print(sklearn.__version__, numpy.__version__, accuracy > 0.9)
    """
    versions = {"sklearn": r"1\.9\.\d+ 2\.\d+\.\d+", "sklearn-1.2": r"1\.2\.\d+ 1\.23\.\d+"}
    assert re.fullmatch(f"{versions[option]} True", run(built.python, dedent(code)))


def test_the_current_environment_says_that_it_has_nothing_to_upgrade(tmp_path: Path) -> None:
    log: list[str] = []

    Environment("current", user_managed_dependencies=True).build(
        root=tmp_path, cache=tmp_path, log=log.append, upgrade=True
    )

    assert log[0].startswith("note: nothing to upgrade: environment 'current' is the interpreter that runs amlcore; ")
