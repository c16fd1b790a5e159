"""`aml -v` and AMLCORE_DEBUG=1: what happens inside, on stderr alone, and never a secret."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amlcore.environment.uv import stream
from amlcore.redaction import redact
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
def test_no_more_lines_without_the_option(environment: dict[str, str], aml: Aml, write: Write) -> None:
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


def test_the_debug_log_hides_secrets(project: Path, aml: Aml, write: Write) -> None:
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
    monkeypatch.setattr("amlcore.redaction.secret_names", {"S1"})
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


def test_secrets_that_overlap_are_hidden_wholly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("S1", "abcdXY-1"), ("S2", "XY-1efgh"), ("S3", "papapa"), ("S4", "d\\XY"), ("S5", "pap")):
        monkeypatch.setenv(name, value)
    names = ["S5", "S4", "S3", "S2", "S1"]

    assert redact("<abcdXY-1efgh>", names) == "<${oc.env:S1}${oc.env:S2}>"
    assert redact("<abcdXY-1XY-1efgh>", names) == "<${oc.env:S1}${oc.env:S2}>"
    assert redact("<papapapapap>", names) == "<${oc.env:S3}p>"
    assert redact("pap", names) == "pap"  # too short to be looked for


def test_each_line_of_a_secret_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the log of a build, which is written line by line."""
    monkeypatch.setenv("KEY", "-----BEGIN KEY-----\n  MIIEvQIBADANBg+/\nend\n-----END KEY-----\n")
    monkeypatch.setenv("SHORT", "s3cr\n")  # as of $(cat FILE; echo)
    text = "error: -----BEGIN KEY-----\n| MIIEvQIBADANBg%2B/ end\ns3cr"
    assert redact(text, ["KEY", "SHORT"]) == "error: ${oc.env:KEY}\n| ${oc.env:KEY} end\n${oc.env:SHORT}"


def test_no_secret_gets_into_the_log_of_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", f"{SECRET}-1\n{SECRET}-2")
    monkeypatch.setattr("amlcore.environment.uv.secret_names", {"TOKEN"})
    lines: list[str] = []
    with (tmp_path / "guard").open("w") as guard:
        code = "import os, sys; sys.stderr.write('error: ' + os.environ['TOKEN'])"
        result = stream([sys.executable, "-c", code], folder=tmp_path, guard=guard.fileno(), log=lines.append)
    assert lines == list(result.lines) == ["error: ${oc.env:TOKEN}", "${oc.env:TOKEN}"]


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": json.dumps,
    "json_unicode": lambda value: json.dumps(value, ensure_ascii=False),
    "json_slash": lambda value: json.dumps(value).replace("/", "\\/"),
    "json_twice": lambda value: json.dumps(json.dumps({"a": value})),
    "upper": lambda value: re.sub(r"(?<=\\u)[0-9a-f]{4}", lambda digits: digits[0].upper(), json.dumps(value)),
    "repr": repr,
    "repr_of_quotes": lambda value: repr(f"'\"{value}"),
    "repr_of_json": lambda value: repr(json.dumps(value)),
    "ascii": ascii,
    "bytes": lambda value: repr(value.encode()),
    "url": quote,
    "url_whole": lambda value: quote(value, safe=""),
    "url_lower": lambda value: re.sub("%..", lambda code: code[0].lower(), quote(value, safe="")),
    "url_twice": lambda value: quote(quote(value, safe=""), safe=""),
    "query": lambda value: urlencode({"a": value}),
    "shell": shlex.quote,
    "shell_of_json": lambda value: shlex.quote(json.dumps(value)),
}


@pytest.mark.parametrize("form", FORMS)
@given(value=st.text(st.sampled_from("ab/\\'\"\n\t +%&=é✓😀<~$"), min_size=4, max_size=9))
@example(value="a'b\"c\\d")
@example(value="\\\\\\\\")
@example(value="pass wörd/1%2+😀")
@settings(max_examples=40, deadline=None)
def test_an_escaped_secret_is_hidden_wholly(form: str, value: str) -> None:
    """Only the text around the secret is left: it is compared with the same text without a secret."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S1", value)
        shown = redact(FORMS[form](f"begin{value}end"), ["S1"])

    assert re.search(r"begin\$\{oc\.env:S1\}(?:\$\{oc\.env:S1\})*end", shown), shown


@pytest.mark.timeout(60)  # a pattern that tries each way to split the backslashes would need years
def test_a_text_that_nearly_holds_a_long_secret_of_backslashes_and_quotes_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("S1", "\\'" * 40 + "\\" * 40 + "x")
    text = ("\\'" * 400 + "\\" * 4000 + "y") * 5

    assert redact(text, ["S1"]) == text


def test_importing_amlcore_configures_nothing() -> None:
    code = (
        "import sys, amlcore; amlcore.Run; before = 'logging' in sys.modules\n"
        "import json, logging, subprocess, amlcore.cli.main\n"
        "logger = logging.getLogger('amlcore')\n"
        "print(json.dumps([before, logger.handlers, logger.level, subprocess.Popen.__module__]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == [False, [], 0, "subprocess"]
