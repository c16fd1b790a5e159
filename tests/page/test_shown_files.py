"""The files that the page shows: what a run kept, and nothing that may hold secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from amlcore.page.server.shown_files import model_files, run_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run whose second attempt is running."""
    folder = tmp_path / "outputs/e/r"
    for path in (
        *("request.json", "run.json", "driver.log", "outputs/model.joblib", "outputs/deep/a.txt", "logs/stdout.txt"),
        *("images/plot.png", "attempts/1/work/outputs/old.txt", "attempts/2/work/secrets.env"),
        *("attempts/2/work/outputs/new.txt", "attempts/2/work/logs/train.log", "outputs/images/mine.png"),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


def tree(folder: Path) -> list[str]:
    """Every file that is shown of a run, by its path."""
    files = run_files(folder)
    pending, paths = [""], []
    while pending:
        for entry in files.entries(pending.pop()):
            (pending if entry.is_folder else paths).append(entry.path)
    return sorted(paths)


def test_outputs_images_and_logs_are_shown_those_of_the_running_attempt_too(folder: Path) -> None:
    shown = ["deep/a.txt", "images/mine.png", "images/plot.png", "logs/stdout.txt", "logs/train.log", "model.joblib"]

    assert tree(folder) == [*shown, "new.txt"]
    files = run_files(folder)
    for path in tree(folder):
        file = files.find(path)
        assert file is not None
        assert file.read_text().endswith(path)
    assert [entry.path for entry in files.entries()] == ["deep", "images", "logs", "model.joblib", "new.txt"]
    assert [entry.size_bytes for entry in files.entries("deep")] == [len("outputs/deep/a.txt")]


@pytest.mark.parametrize(
    "path",
    [
        *("request.json", "../request.json", "logs/../../request.json", "attempts/2/work/secrets.env", "/etc/passwd"),
        *("old.txt", "deep", "", "..", "outputs/model.joblib", "work/secrets.env", "deep/../../request.json"),
    ],
)
def test_other_files_are_not_shown(folder: Path, path: str) -> None:
    assert run_files(folder).find(path) is None


def test_a_link_is_shown_only_where_it_leads_to_a_shown_file(folder: Path) -> None:
    (folder / "outputs/best.joblib").symlink_to("model.joblib")
    (folder / "outputs/request.json").symlink_to("../request.json")
    (folder / "outputs/all").symlink_to("..")
    (folder / "outputs/broken").symlink_to("nowhere")

    names = [entry.path for entry in run_files(folder).entries()]

    assert "best.joblib" in names
    assert not {"request.json", "all", "broken"} & {*names}
    assert run_files(folder).find("all/request.json") is None
    assert run_files(folder).find("request.json") is None


def test_a_folder_that_is_gone_is_empty(tmp_path: Path) -> None:
    assert run_files(tmp_path / "gone").entries() == []
    assert model_files(tmp_path / "gone").entries("a/b") == []


def test_of_a_model_its_files_and_modules_are_shown(tmp_path: Path) -> None:
    for path in ("files/model.pkl", "code/net.py", "model.json", "lock.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)

    assert [entry.path for entry in model_files(tmp_path).entries()] == ["code", "model.pkl"]
    assert model_files(tmp_path).find("code/net.py") == tmp_path / "code/net.py"
    assert model_files(tmp_path).find("model.json") is None
