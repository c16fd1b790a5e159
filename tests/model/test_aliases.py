"""Aliases: what they mean, which names they may have, and the one order of their moves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from amlcore import Model, Workspace
from amlcore.cli.main import main
from amlcore.errors import ModelError, NotFoundError, RequestError
from amlcore.model.aliases import StaleError, aliases_of, damaged_entries, log_entries, set_alias, unset_alias
from amlcore.model.folders import find_folder, registered, versions
from amlcore.model.new_version import claim_version, prepared_folder
from amlcore.worker import model_log
from tests.support.aml import Aml
from tests.support.serving_models import register


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with three versions of a model."""
    root = tmp_path_factory.mktemp("wine")
    (root / ".amlcore").mkdir()
    (root / ".amlcore/config.json").write_text('{"workspace_name": "wine"}')
    estimator = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    for version, accuracy in enumerate((0.9, 0.95, 0.94), start=1):
        register(root, estimator, name="wine", version=version, metrics={"accuracy": accuracy, "runs": 2})
    return root


@pytest.fixture
def project(wine: Path, tmp_path: Path) -> Path:
    """A copy of the workspace."""
    return Path(shutil.copytree(wine, tmp_path / "project"))


def models(project: Path) -> Path:
    return project / "models"


def test_an_alias_means_a_version_wherever_one_may_stand(project: Path, aml: Aml) -> None:
    assert "wine@champion is wine:2 now" in aml("alias", "wine@champion", "2", "--why", "best so far").err
    assert aml("alias", "wine@champion").out == "wine:2\n"
    assert "wine@champion is wine:2 already" in aml("alias", "wine@champion", "2").err
    assert "wine@champion is wine:3 now, before wine:2" in aml("alias", "wine@champion", "latest").err
    assert aml("alias", "wine@previous", "2", "--json").json["version"] == 2
    assert aml("alias", "wine@stable", "@previous", "--because", "x").status == 0
    (row, *_) = rows = aml("alias", "wine", "--json").json
    assert [(row["alias"], row["version"]) for row in rows] == [("champion", 3), ("previous", 2), ("stable", 2)]
    assert set(row) == {"model", "alias", "version", "previous", "at", "by", "why"}
    assert "wine@champion" in aml("alias").out
    assert aml("models", "show", "wine@champion", "--json").json["version"] == 3
    assert "name: wine" in aml("models", "show", "wine@champion").out
    assert aml("show", "wine@champion", "--json").json["version"] == 3
    assert aml("tag", "wine@champion", "good=yes").status == 0
    assert [(row["version"], row["aliases"]) for row in aml("models", "--json").json] == [
        (3, ["champion"]),
        (2, ["previous", "stable"]),
        (1, []),
    ]
    assert "previous, stable" in aml("models").out
    workspace = Workspace.from_config(str(project))
    assert Model(workspace, "wine@champion").version == 3
    assert Model(workspace, "wine", version="@previous").version == 2
    assert Model(workspace, id="wine@stable").id == "wine:2"
    assert Model.get(workspace, "wine@stable").aliases == ["previous", "stable"]
    assert "wine@stable is removed; it was wine:2" in aml("alias", "wine@stable", "--remove").err
    assert "no alias 'stable'" in aml("alias", "wine@stable", status=2).err


def test_the_log_tells_who_moved_what_when_and_why_since_the_first_day(project: Path, aml: Aml) -> None:
    aml("alias", "wine@champion", "1", "--why", "the first one")
    aml("alias", "wine@champion", "3")
    aml("alias", "wine@champion", "--remove", "--why", "it was wrong")

    events = aml("models", "log", "wine", "--json").json

    assert [(event["event"], event["version"], event["why"]) for event in events] == [
        ("registered", 1, None),
        ("registered", 2, None),
        ("registered", 3, None),
        ("alias set", 1, "the first one"),
        ("alias set", 3, None),
        ("alias removed", 3, "it was wrong"),
    ]
    assert [event for event in events if not (event["by"] and event["at"])] == []  # six events, as above
    assert events[0]["run"] == "iris_1"
    assert aml("models", "log", "--json").json == events
    table = aml("models", "log", "wine").out
    words = ("wine:1 registered", "wine@champion = 3 (was 1)", "it was wrong")
    assert [part for part in words if part not in table] == []


def test_a_registration_is_before_the_move_that_needed_it_whatever_the_clocks_say(project: Path, aml: Aml) -> None:
    set_alias(models(project), "wine", "champion", 2)
    path = models(project) / "wine/2/model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "created": "2999-01-01T00:00:00+00:00"}))

    events = aml("models", "log", "wine", "--json").json

    assert [event["event"] for event in events] == ["registered"] * 3 + ["alias set"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["wine@latest", "2"], "'latest' cannot be an alias because it always means the newest version"),
        (["wine@7", "2"], "'7' cannot be an alias because it reads as the number of a version"),
        (["wine@V7", "2"], "'V7' cannot be an alias because it reads as the number of a version"),
        (["wine@größte", "2"], "an alias must be at most 255 letters (a-z, A-Z), digits, '-' and '_', not 'größte'"),
        (["wine@", "2"], "model 'wine@': write NAME, NAME:VERSION, NAME:latest or NAME@ALIAS"),
        (["wine@champion", "9"], "model 'wine' has no version '9'; available: latest, 1, 2, 3"),
        (["wine@champion", "beer:1"], "wine@champion: it can only mean a version of 'wine', not beer:1"),
        (["beer@champion", "1"], "there is no model 'beer'"),
        (["wine@champion"], "model 'wine' has no alias 'champion'"),
        (["wine@champion", "--remove"], "model 'wine' has no alias 'champion'"),
        (["wine@champion", "2", "--remove"], "takes either VERSION or --remove"),
        (["wine", "2"], "which alias? Write aml alias wine@ALIAS 2"),
        (["wine:2"], "which alias? Write aml alias wine@ALIAS 2"),
        (["beer"], "there is no model 'beer'"),
    ],
)
def test_a_wrong_request_is_refused_in_words_and_changes_nothing(
    wine: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(wine)
    assert main(["alias", *words]) == 2
    assert message in capsys.readouterr().err
    assert aliases_of(models(wine) / "wine") == {}


def test_an_alias_that_differs_only_in_case_is_refused(project: Path) -> None:
    set_alias(models(project), "wine", "champion", 1)
    with pytest.raises(ModelError, match="has the alias 'champion', which differs only in case"):
        set_alias(models(project), "wine", "Champion", 2)


def test_a_job_with_such_an_alias_is_refused_before_its_training(project: Path, aml: Aml) -> None:
    set_alias(models(project), "wine", "champion", 1)
    (project / "train.py").write_text("")
    words = ("run", "train.py", "environment=current", "model.name=wine", "model.alias=CHAMPION")
    assert "has the alias 'champion', which differs only in case" in aml(*words, status=2).err
    nameless = ("run", "train.py", "environment=current", "model=none", "model.alias=champion")
    assert "model.alias=champion: no model to register; set model.name=NAME" in aml(*nameless, status=2).err
    assert not (project / "outputs").exists()


def test_a_move_that_rests_on_an_old_state_is_refused(project: Path) -> None:
    set_alias(models(project), "wine", "champion", 1)
    with pytest.raises(StaleError):
        set_alias(models(project), "wine", "champion", 2, after=0)
    assert set_alias(models(project), "wine", "champion", 2, after=1) is not None


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b'{"number": 1, "aliases": {"a": "x"}}', b"\xff"])
def test_a_damaged_log_is_named_and_other_models_are_unaffected(project: Path, aml: Aml, content: bytes) -> None:
    set_alias(models(project), "wine", "champion", 1)
    Path(model_log.entry_path(models(project) / "wine", 1)).write_bytes(content)

    assert "aliases/000001.json is damaged" in aml("models", "show", "wine@champion", status=2).err
    assert len(list(damaged_entries(models(project) / "wine"))) == 1
    listing = aml("models", "--json")
    assert [row["aliases"] for row in listing.json] == [[], [], []]
    assert "the aliases of 'wine' cannot be shown" in listing.err
    assert versions(models(project) / "wine") == [1, 2, 3]


def test_the_log_is_not_part_of_a_snapshot_of_the_workspace(project: Path) -> None:
    set_alias(models(project), "wine", "champion", 1)
    (models(project) / "wine/marks").mkdir()
    (models(project) / "wine/marks/1.json").write_text("{}")
    assert {models(project) / "wine/aliases", models(project) / "wine/marks"} <= set(registered(models(project)))


def test_an_alias_of_a_version_whose_folder_is_gone_is_told(project: Path) -> None:
    set_alias(models(project), "wine", "champion", 2)
    (models(project) / "wine/2/model.json").unlink()
    with pytest.raises(NotFoundError, match=r"wine@champion means version 2, whose folder .* is gone"):
        find_folder(models(project), "wine@champion")


def test_python_sets_and_removes_aliases(project: Path) -> None:
    workspace = Workspace.from_config(str(project))
    model = Model(workspace, "wine", version=2)
    model.set_alias("champion", why="in Python")
    assert model.aliases == ["champion"]
    assert log_entries(models(project) / "wine")[-1].why == "in Python"
    with pytest.raises(NotFoundError, match="wine:1 has no alias 'champion'"):
        Model(workspace, "wine", version=1).remove_alias("champion")
    model.remove_alias("champion")
    assert model.aliases == []
    with pytest.raises(RequestError):
        model.set_alias("latest")


def test_a_version_takes_the_number_after_all_that_were_ever_used(project: Path) -> None:
    (models(project) / "wine/7").mkdir()
    (models(project) / "wine/7/note.txt").write_text("of a user")
    with prepared_folder(models(project) / "wine") as folder:
        assert claim_version(folder, {"name": "wine"}).name == "8"


def test_removing_an_alias_twice_tells_of_the_second(project: Path) -> None:
    set_alias(models(project), "wine", "champion", 2)
    unset_alias(models(project), "wine", "champion")
    with pytest.raises(NotFoundError, match="model 'wine' has no alias 'champion'"):
        unset_alias(models(project), "wine", "champion")
