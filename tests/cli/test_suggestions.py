"""A mistyped command line gets one message with a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest

from amlcore.cli.main import VERBS, main
from amlcore.cli.typos import DASHES
from amlcore.worker.run_names import create_run_folder


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    (project / "churn.py").write_text("")
    (project / "notes.ipynb").write_text("{}")
    (project / "scripts").mkdir()
    (project / "scripts/train.py").write_text("")


def message(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("aml: error: ")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("aml: error: ").rstrip()


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("rnu churn.py a=1", ["unknown verb 'rnu'", "did you mean `aml run churn.py a=1`?"]),
        ("churn.py a=1 -m", ["did you mean `aml run churn.py a=1 -m`?"]),
        ("scripts/train.py", ["did you mean `aml run scripts/train.py`?"]),
        ("model.name=x", ["did you mean `aml run model.name=x`?"]),
        ("model", ["did you mean `aml models`?"]),
        ("Runs", ["did you mean `aml runs`?"]),
        ("list --json", ["did you mean `aml runs --json`?"]),
        ("log latest", ["did you mean `aml logs latest`?"]),
        ("sweep churn.py", ["did you mean `aml run -m churn.py`?"]),
        ("version", ["did you mean `aml --version`?"]),
        ("latest", ["'latest' is a run", "did you mean `aml show latest`?"]),
        ("xyzzy", ["unknown verb 'xyzzy'", "available: ", "cancel", "run,"]),
        ("notes.ipynb", ["is a notebook", "jupyter nbconvert --to script notes.ipynb", "aml run notes.py"]),
        ("--verison", ["unknown option --verison; did you mean --version?"]),
        ("-help", ["unknown option -help; did you mean --help?"]),
        ("--limit 3", ["unknown option --limit; did you mean `aml runs --limit 3`?"]),
        ("-m churn.py", ["did you mean `aml run -m churn.py`?"]),
        ("--json", ["unknown option --json", "`aml runs`", "`aml show`", "take it"]),
        ("--colour", ["unknown option --colour", "aml --help"]),
        ("env biuld", ["unknown verb 'env biuld'; did you mean 'env build'?"]),
        ("show latest --limit 3", ["unknown option --limit for `aml show`; `aml runs` takes it"]),
        ("logs latest --folow", ["unknown option --folow for `aml logs`; did you mean '--follow'?"]),
        ("runs extra", ["'extra' is not a filter", "`aml show`", "aml runs --help"]),
        ("runs -json", ["unknown option -json; did you mean --json?"]),
        ("runs --limit 0", ["--limit: must be a positive integer, not 0"]),
        ("runs --limit 3 --all", ["--all: not allowed with argument --limit"]),
        ("show", ["required: RUN", "aml show --help"]),
        ("keys s --regenerate first", ["--regenerate: 'first': must be one of primary, secondary"]),
        ("run churn.py --foo", ["unknown option --foo; arguments for the script go after --, as in `-- --foo`"]),
        ("run churn.py --detatch", ["unknown option --detatch; did you mean --detach?", "after --"]),
        ("run -help", ["unknown option -help; did you mean --help?"]),
        ("run detach churn.py", ["'detach': did you mean --detach?"]),
        ("run churn", ["'churn'", "did you mean churn.py?"]),
        ("run churn.py/", ["'churn.py/' is a file, not a folder; did you mean churn.py?"]),
        ("run scripts/", ["'scripts/' is a folder", "scripts/train.py"]),
        ("run notes.ipynb", ["is a notebook", "aml run notes.py"]),
        ("run churn.py 5", ["'5'", "after --"]),
    ],
)
def test_a_slip_is_answered_by_what_was_meant(line: str, parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    answer = message(line.split(), capsys)

    assert parts
    assert [part for part in parts if part not in answer] == [], answer


@pytest.mark.parametrize("dash", DASHES)
@pytest.mark.parametrize("line", ["run churn.py {}dry-run", "runs {}json", "{}help", "run -{}dry-run"])
def test_a_dash_of_a_word_processor_is_recognised(dash: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = message(line.format(dash).split(), capsys)

    assert "not a hyphen; did you mean --" in answer


def test_a_run_is_taken_for_one_wherever_it_is_typed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id, folder = create_run_folder(str(project), "iris")
    Path(folder, "run.json").write_text(
        f'{{"id": "{run_id}", "experiment": "iris", "created": "2026-01-01T00:00:00+00:00"}}'
    )

    assert f"did you mean `aml show {run_id}`?" in message([run_id], capsys)
    assert f"did you mean `aml rerun {run_id}`?" in message(["run", run_id], capsys)
    for reference in (run_id, f"{run_id}/", folder, f"outputs/iris/{run_id}/"):
        assert main(["show", reference]) == 0
        assert run_id in capsys.readouterr().out


def test_aml_without_arguments_prints_its_help_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "list runs, newest first" in captured.err


@pytest.mark.parametrize("line", ["--help", "-h runs", "help", "help help", "--help extra"])
def test_the_help_of_aml_lists_its_verbs(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 0
    printed = capsys.readouterr().out
    assert [name for name in ["run", *VERBS] if " " not in name and f" {name} " not in printed] == []


@pytest.mark.parametrize("name", sorted(VERBS))
def test_help_is_found_in_each_of_its_forms(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for words in (["help", *name.split()], [*name.split(), "--help"], [*name.split(), "-h"]):
        assert main(words) == 0
        printed.append(capsys.readouterr().out)

    assert printed[0].startswith(f"usage: aml {name} [-h]")
    assert "SUPPRESS" not in printed[0]
    assert len({*printed}) == 1
