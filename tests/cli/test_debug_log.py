"""`aml -v` and AMLCORE_DEBUG=1: what happens inside, on stderr alone, and never a secret."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amlcore.log import redact
from tests.conftest import Aml

Write = Callable[[str, str], Path]
HERE = "environment=current"
SECRET = "canary-5a1f-e0c2"


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["-v", "run", "a.py", HERE], {}),
        (["run", "a.py", HERE, "-v"], {}),
        (["run", "--verbose", "a.py", HERE, "--", "-v"], {}),
        (["run", "a.py", HERE], {"AMLCORE_DEBUG": "1"}),
    ],
)
def test_a_run_is_explained_on_stderr_alone(
    words: list[str], environment: dict[str, str], aml: Aml, write: Write
) -> None:
    write("a.py", "import sys\nprint('printed', sys.argv[1:])\nprint('to stderr', file=sys.stderr)\n")

    done = aml(*words, env=environment)

    assert done.out == f"printed {['-v'] if words[-1] == '-v' and '--' in words else []}\n"
    lines = [line for line in done.err.splitlines() if line.startswith("aml: debug: ")]
    assert any(": compose_search took " in line for line in lines), done.err
    assert any(": subprocess: " in line and "exit status 0" in line for line in lines), done.err
    assert "aml took " in lines[-1]
    folder = Path(aml("runs", "--json").json[0]["folder"])
    for log in folder.glob("**/std*.txt"):
        assert "debug" not in log.read_text()


@pytest.mark.parametrize("environment", [{}, {"AMLCORE_DEBUG": "0"}, {"AMLCORE_DEBUG": ""}])
def test_nothing_is_explained_unless_it_is_asked_for(environment: dict[str, str], aml: Aml, write: Write) -> None:
    write("a.py", "")

    assert "debug" not in aml("run", "a.py", HERE, env=environment).err


def test_a_refused_request_shows_its_traceback(aml: Aml) -> None:
    plain = aml("run", "none.py", status=2).err
    verbose = aml("-v", "run", "none.py", status=2).err

    assert "Traceback" not in plain
    assert "Traceback (most recent call last)" in verbose
    assert verbose.replace(plain, "") != verbose  # the message itself is the same


def test_a_detached_run_explains_itself_in_its_driver_log(aml: Aml, write: Write) -> None:
    write("a.py", "")
    aml("-v", "run", "a.py", HERE, "--detach")
    aml("wait", "latest")

    folder = Path(aml("runs", "--json").json[0]["folder"])
    assert "aml: debug: " in (folder / "driver.log").read_text()


def test_no_secret_is_shown(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "import os\nassert os.environ['TOKEN']\n")
    write("conf/config.yaml", "defaults: [base, _self_]\nworkspace:\n  secrets: [TOKEN]\n")
    write("requirements.txt", f"--index-url https://user:{SECRET}@127.0.0.1:9/simple\nnothing-such\n")
    environment = {"TOKEN": SECRET, "UV_HTTP_RETRIES": "0"}

    for words in (
        ["run", "a.py", HERE, "script.environment_variables.TOKEN=${oc.env:TOKEN}"],
        ["run", "a.py", "environment.file=requirements.txt"],
        ["run", "a.py", HERE, f"+script.arguments.token={SECRET}"],
    ):
        done = aml("-v", *words, env=environment, status=None)

        assert "aml: debug: " in done.err
        assert SECRET not in "".join(line for line in done.err.splitlines() if "debug: " in line), done.err


def test_credentials_in_addresses_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    from amlcore.terminal.debug_log import debug_log

    with debug_log():
        subprocess.run([sys.executable, "-c", "", f"https://user:{SECRET}@host/simple"], check=True)

    error = capsys.readouterr().err
    assert SECRET not in error
    assert "https://***@host/simple" in error


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:swordfish@host/a", "https://***@host/a"),
        ("https://user:sword@fish@host/a", "https://***@host/a"),
        ("https://user:sword/fish@host/a", "https://***@host/a"),
        ("git+https://user:sword?fish#@host/a", "git+https://***@host/a"),
        ("https://host/a", "https://host/a"),
    ],
)
def test_a_password_of_any_characters_is_hidden(address: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    from amlcore.terminal.debug_log import LOGGER, debug_log

    with debug_log():
        LOGGER.debug("asked %s for it", address)
        subprocess.run([sys.executable, "-c", "", address], check=True)

    error = capsys.readouterr().err
    assert f"asked {shown} for it" in error
    assert shlex.quote(shown) in error
    assert "sword" not in error
    assert "fish" not in error


@pytest.mark.parametrize("value", ["it's", 'it\'s "so"', "a  b", "back\\slash", "two\nlines", "ünïß", "$x;y", "'" * 5])
def test_a_secret_is_hidden_however_it_is_quoted(
    value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from amlcore.terminal.debug_log import LOGGER, debug_log

    monkeypatch.setenv("S1", value)
    monkeypatch.setattr("amlcore.log.secret_names", {"S1"})
    command = [sys.executable, "-c", "", f"x{value}y"]
    with debug_log():
        LOGGER.debug("%s and %s", command, shlex.join(command))
        for form in (command, shlex.join(command), [*command[:-1], command[-1].encode()]):
            subprocess.run(form, check=True, shell=isinstance(form, str))

    error = capsys.readouterr().err
    assert error.count("${oc.env:S1}y") == 5, error
    for form in (value, repr(value)[1:-1], shlex.quote(value)):
        assert form not in error


def test_a_secret_inside_another_is_hidden_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("S1", "abcd"), ("S2", "abcdefgh"), ("S3", "env:"), ("S4", "abc")):
        monkeypatch.setenv(name, value)

    for names in (["S1", "S2", "S3", "S4"], ["S4", "S3", "S2", "S1"]):
        assert redact("abcdefgh abcd abc env:", names) == "${oc.env:S2} ${oc.env:S1} abc ${oc.env:S3}"


def test_importing_amlcore_configures_nothing() -> None:
    code = (
        "import sys, amlcore; amlcore.Run; before = 'logging' in sys.modules\n"
        "import json, logging, subprocess, amlcore.cli.main\n"
        "logger = logging.getLogger('amlcore')\n"
        "print(json.dumps([before, logger.handlers, logger.level, subprocess.Popen.__module__]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == [False, [], 0, "subprocess"]
