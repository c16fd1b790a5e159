"""Marks: names, notes and tags of runs and models, as they are typed, kept and shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amlcore import Model, Run
from amlcore.errors import RequestError
from amlcore.record.mark_texts import MAX_TAGS, NAME_LENGTH, NOTE_LENGTH, TAG_VALUE_LENGTH, checked_name, may_be_id
from amlcore.record.marks import Marks, change_marks, read_marks
from amlcore.record.record import Record
from amlcore.runs import marking
from amlcore.workspace import Workspace
from tests.support import users
from tests.support.called import called
from tests.support.laid_runs import lay, lay_model
from tests.support.users import User, group_workspace

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=50)


@pytest.fixture
def run(project: Path) -> Path:
    return lay(project, 1)


def shown(project: Path, reference: str = "latest") -> dict[str, object]:
    row = called(project, "show", reference, "--json").json
    assert isinstance(row, dict)
    return row


def test_marks_are_shown(project: Path, run: Path) -> None:
    called(project, "tag", "latest", "good=yes")
    called(project, "note", "latest", "the one to beat")
    called(project, "name", "latest", "baseline")

    (row,) = called(project, "runs", "--json").json
    expected = {
        "name": "baseline",
        "note": "the one to beat",
        "tags": {"colour": "blue", "good": "yes"},
        "archived": False,
        "user": "anna",
    }
    for facts in (row, shown(project)):
        assert {key: facts[key] for key in expected} == expected
    assert "baseline" in called(project, "runs").out
    assert called(project, "tag", "baseline").out == "colour=blue\ngood=yes\n"
    assert called(project, "note", "baseline").out == "the one to beat\n"
    assert called(project, "name", run.name).out == "baseline\n"


@settings(max_examples=30, deadline=None)
@given(value=TEXTS)
def test_text_stays_as_it_was_typed(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = lay(tmp_path_factory.mktemp("w"), 1)

    marking.set_tags(Record(folder), {"key": value})
    marking.set_note(Record(folder), value)

    assert read_marks(folder) == Marks(tags={"key": value}, note=value or None)


@pytest.mark.parametrize("word", ["n=1.0", "b=yes", "e=a=b=", "empty=", "u=ü\nnew line", "x=[1, 2]", "null=null"])
def test_a_word_on_the_command_line_is_a_text(word: str, project: Path, run: Path) -> None:
    key, _, value = word.partition("=")

    called(project, "tag", run.name, word)

    assert shown(project)["tags"] == {"colour": "blue", key: value}


def test_people_win_over_the_script(project: Path, run: Path) -> None:
    called(project, "tag", run.name, "colour=red")
    assert shown(project)["tags"] == {"colour": "red"}

    called(project, "tag", run.name, "--remove", "colour")
    assert shown(project)["tags"] == {}

    called(project, "tag", run.name, "--remove", "colour", status=2)
    called(project, "tag", run.name, "colour=green")
    assert shown(project)["tags"] == {"colour": "green"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tag", "RUN", "good"], "'good' is not a tag; use KEY=VALUE"),
        (["tag", "RUN", "=yes"], "tag '': the key must neither be empty nor begin or end with a space"),
        (["tag", "RUN", "a\nb=yes"], "must not contain line breaks"),
        (["tag", "RUN", f"a={'x' * (TAG_VALUE_LENGTH + 1)}"], "tag 'a': the value has 8,001 characters"),
        (["tag", "RUN", *(f"k{n}=" for n in range(MAX_TAGS + 1))], f"the limit is {MAX_TAGS}"),
        (["tag", "RUN", "a=\udcff"], "is not valid UTF-8 text"),
        (["tag", "RUN", "a=1", "--remove", "a"], "either be set or removed, not both"),
        (["tag", "RUN", "--remove", "color"], "has no tag 'color'; did you mean 'colour'?"),
        (["note", "RUN", "x" * (NOTE_LENGTH + 1)], "the note has 100,001 characters; the limit is 100,000"),
        (["note", "RUN", "x", "--remove"], "--remove and TEXT exclude each other"),
        (["name", "RUN", "latest"], "'latest' means the newest run"),
        (["name", "RUN", "2026"], "ids of runs begin like this"),
        (["name", "RUN", "20260101-000001-00000a"], "ids of runs begin like this"),
        (["name", "RUN", "wine:3"], "must not contain ':', which precedes the version of a model"),
        (["name", "RUN", "a/b"], "must not contain '/'"),
        (["name", "RUN", " a"], "must neither be empty nor begin or end with a space"),
        (["name", "RUN", "x" * (NAME_LENGTH + 1)], "the name has 129 characters"),
        (["name", "RUN", "the"], "the id of run the-good-one begins with it"),
        (["name", "RUN", "taken"], "run 20260101-000002-00000a has it; take it away first"),
        (["tag", "no-such"], "run 'no-such': no such run"),
        (["tag", "taxen"], "did you mean 'taken'?"),
        (["tag", "wine:3", "a=1"], "there is no model 'wine'"),
    ],
)
def test_a_wrong_mark_is_refused_and_nothing_is_written(
    words: list[str], message: str, project: Path, run: Path
) -> None:
    other = lay(project, 2)
    called(project, "name", other.name, "taken")
    lay(project, 3).rename(project / "outputs/e/the-good-one")

    said = called(project, *(run.name if word == "RUN" else word for word in words), status=2)

    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert not (run / "marks.json").exists()


def test_a_name_moves_once_it_is_free_again(project: Path, run: Path) -> None:
    other = lay(project, 2)
    called(project, "name", run.name, "best")
    called(project, "name", "best", "best")
    called(project, "name", "best", "--remove")
    called(project, "name", other.name, "best")

    assert shown(project, "best")["id"] == other.name


def test_a_name_is_found_in_whichever_form_its_letters_were_typed(project: Path, run: Path) -> None:
    called(project, "name", run.name, "cafe\u0301")

    assert shown(project, "caf\u00e9")["id"] == run.name
    assert shown(project, "cafe\u0301")["name"] == "caf\u00e9"


@given(text=st.from_regex(r"[0-9a-f_-]{1,24}", fullmatch=True))
def test_a_name_that_could_begin_an_id_is_refused(text: str) -> None:
    identifier = "20260101-000001-00000a_12"
    if identifier.startswith(text):
        assert may_be_id(text)
        with pytest.raises(RequestError):
            checked_name(text)


def test_a_running_run_can_be_marked(project: Path) -> None:
    run = lay(project, 1, state="Running")
    (run / "driver.json").write_text(json.dumps({"host": "elsewhere", "boot": "b", "pid": 1, "started": 1}))

    called(project, "tag", run.name, "watch=yes")

    assert read_marks(run).tags == {"watch": "yes"}


def test_archived_runs_and_their_children_are_only_listed_on_request(project: Path, run: Path) -> None:
    child, other = lay(project, 1, suffix="_0"), lay(project, 2)
    marking.set_archived(Record(run), True)

    def ids(*words: str) -> set[str]:
        return {row["id"] for row in called(project, "runs", "--children", "--json", *words).json}

    assert ids() == {other.name}
    assert ids("--archived") == {run.name, child.name, other.name}
    assert shown(project, run.name)["archived"] is True


def test_python_has_the_names_of_v1(project: Path, run: Path) -> None:
    other = Run.get(Workspace(root=str(project)), lay(project, 2).name)
    same = Run.get(Workspace(root=str(project)), run.name)

    same.tag("a", 1.5)
    same.set_tags({"b": True, "c": None})
    same.remove_tags(["colour"])
    same.display_name = "baseline"
    same.description = "why"

    assert same.get_tags() == {"a": "1.5", "b": "true", "c": ""}
    assert (same.display_name, same.description) == ("baseline", "why")
    assert Run.get(Workspace(root=str(project)), "baseline").id == run.name
    with pytest.raises(RequestError, match="has it"):
        other.display_name = "baseline"


def test_models_are_marked_too(project: Path, run: Path) -> None:
    folder = lay_model(project, run)
    registered = (folder / "model.json").read_text()

    called(project, "tag", "wine:1", "good=yes", "stage=test")
    called(project, "note", "wine:latest", "trained on a Sunday")
    model = Model(Workspace(root=str(project)), "wine", 1)
    model.add_tags({"n": 1})
    model.remove_tags(["stage"])

    (row,) = called(project, "models", "--json").json
    assert (row["tags"], row["note"]) == ({"good": "yes", "n": "1"}, "trained on a Sunday")
    assert Model(Workspace(root=str(project)), "wine").tags == model.tags == row["tags"]
    assert called(project, "tag", "wine:1").out == "good=yes\nn=1\n"
    assert (folder / "model.json").read_text() == registered
    assert "'wine' is a model; name its version too" in called(project, "tag", "wine", "a=b", status=2).err
    assert "a model keeps its name" in called(project, "name", "wine:1", "best", status=2).err


def test_a_script_names_its_own_run_without_being_the_only_one(
    project: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (run, lay(project, 2)):
        monkeypatch.setenv("AMLCORE_RUN", str(folder))
        script_run = Run(str(folder))
        script_run.display_name = "xgb"
        script_run.tag("a", 1.5)
        assert (script_run.display_name, shown(project, folder.name)["name"]) == ("xgb", "xgb")
        assert shown(project, folder.name)["tags"]["a"] == 1.5  # type: ignore[index]
        assert not (folder / "marks.json").exists()

    called(project, "name", run.name, "baseline")
    assert shown(project, run.name)["name"] == "baseline"
    called(project, "show", "xgb", status=2)


def test_a_damaged_file_of_marks_is_named(project: Path, run: Path) -> None:
    (run / "marks.json").write_text("")

    (row,) = called(project, "runs", "--json").json

    assert row["state"] == "Damaged"
    assert f"{run}/marks.json is damaged: it is empty" in row["reason"]


def test_marks_at_the_same_time_all_count(project: Path, run: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from amlcore.record.record import Record\n"
        "from amlcore.runs import marking\n"
        "for n in range(10): marking.set_tags(Record(Path(sys.argv[1])), {f'{sys.argv[2]}-{n}': 'x'})"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(run), str(n)]) for n in range(4)]

    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert len(read_marks(run).tags) == 40
    assert not list(run.glob("*.tmp"))


def test_every_change_changes_the_time_of_the_file(project: Path, run: Path) -> None:
    times = []
    for number in range(5):
        marking.set_tags(Record(run), {"n": str(number)})
        times.append((run / "marks.json").stat().st_mtime_ns)

    assert times == sorted(set(times))


def test_a_run_that_was_removed_is_not_created_again(project: Path, run: Path) -> None:
    def remove(marks: Marks) -> Marks:
        run.rename(project / "elsewhere")
        return Marks(note="late")

    with pytest.raises(RequestError, match="run x was removed meanwhile"):
        change_marks(run / "marks.json", remove, root=project, what="run x")

    assert not run.exists()


@pytest.mark.skipif(bool(users.unable()), reason=users.unable())
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_colleagues_mark_runs_of_the_group(umask: int, tmp_path: Path) -> None:
    workspace = group_workspace(tmp_path / "workspace")
    run = lay(workspace, 1)
    for path in (workspace / "outputs", workspace / "outputs/e", run):
        os.chown(path, 42001, users.GROUP)
        path.chmod(0o2775)

    for uid, key in ((42001, "a"), (42002, "b"), (42001, "c")):
        User(uid, umask).aml(workspace, "tag", run.name, f"{key}=1")
    User(42002, umask).aml(workspace, "name", run.name, "ours")
    assert User(42001, umask).aml(workspace, "tag", "ours").out == "colour=blue\na=1\nb=1\nc=1\n"

    run.chmod(0o755)
    said = User(42002, umask).aml(workspace, "tag", "ours", "d=1", status=2)
    assert f"{run} belongs to uid 42001, and you may not write there" in said.err
