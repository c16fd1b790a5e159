"""Runs beside each other: what differs, what is the same, and what cannot be compared."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from amlcore.cli.main import main
from amlcore.comparison import code
from amlcore.comparison.comparison import Comparison, compare
from amlcore.comparison.page import page
from amlcore.runs.run import Run
from amlcore.snapshot.snapshot import SnapshotLimits, take
from amlcore.worker.process_identity import identity
from tests.support.run_records import write_run

TRAIN = "import os\n\nprint('trained')\n"


def recorded(
    root: Path,
    number: int,
    *,
    files: Mapping[str, bytes | str] | None = None,
    config: Mapping[str, Any] | None = None,
    lock: str = "numpy==2.0.0\nscikit-learn==1.9.1 \\\n    --hash=sha256:00\n",
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, str] | None = None,
    **about: Any,
) -> Path:
    """A completed run with a snapshot, a configuration, a lock, inputs and outputs."""
    folder = write_run(root, number, **about)
    source = root / "sources" / str(number)
    for name, content in (files or {"train.py": TRAIN}).items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    snapshot = take(source, store=root / ".amlcore/snapshots", limits=SnapshotLimits())
    document = json.loads((folder / "run.json").read_text())
    document |= {"snapshot": {"id": snapshot.id}, "inputs": dict(inputs or {})}
    document |= {"source_directory": str(root), "working_folder": str(root)}
    (folder / "run.json").write_text(json.dumps(document))
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(config or {"compute": {"cores": 1}})))
    (folder / "lock.txt").write_text(lock)
    listed = [{"path": path, "size": 5, "sha256": sha256} for path, sha256 in (outputs or {}).items()]
    (folder / "outputs.json").write_text(json.dumps(listed))
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace; it is the working folder."""
    (tmp_path / ".amlcore").mkdir()
    (tmp_path / ".amlcore/config.json").write_text('{"workspace_name": "here"}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compared(*folders: Path) -> Comparison:
    return compare([Run(str(folder)) for folder in folders])


def differing(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """The values that differ, by section and key."""
    sections = comparison.to_json(everything=False)["sections"]
    return {
        name: {row["key"]: row["values"] for row in section["rows"]}
        for name, section in sections.items()
        if section["rows"]
    }


def test_each_section_shows_what_differs_and_nothing_else(root: Path) -> None:
    first = recorded(
        root,
        1,
        parameters={"depth": 4, "seed": 1},
        metrics={"accuracy": 0.9, "loss": 0.5, "runs": 3},
        config={"compute": {"cores": 1, "mem_gb": None}, "script": {"arguments": {"depth": 4}}},
        inputs={"data": {"sha256": "a" * 64, "path": "data.csv", "size_bytes": 10}},
        outputs={"outputs/model.joblib": "b" * 64, "outputs/same.txt": "c" * 64},
    )
    second = recorded(
        root,
        2,
        parameters={"depth": 8, "seed": 1, "extra": True},
        metrics={"accuracy": 0.95, "f1": 0.8, "runs": 3.0},
        config={"compute": {"cores": 2, "mem_gb": None}, "script": {"arguments": {"depth": 8}}},
        lock="numpy==2.1.0\nSciKit_Learn==1.9.1\npandas @ https://example.org/pandas.whl\n",
        inputs={"data": {"sha256": "d" * 64, "path": "data.csv", "size_bytes": 12}},
        outputs={"outputs/model.joblib": "e" * 64, "outputs/same.txt": "c" * 64},
        host="node2",
        duration_s=3.5,
    )

    comparison = compared(first, second)

    assert differing(comparison) == {
        "metrics": {"accuracy": {"A": 0.9, "B": 0.95}, "f1": {"B": 0.8}, "loss": {"A": 0.5}},
        "arguments": {"depth": {"A": 4, "B": 8}, "extra": {"B": True}},
        "config": {"compute.cores": {"A": 1, "B": 2}},
        "packages": {"numpy": {"A": "2.0.0", "B": "2.1.0"}, "pandas": {"B": "@ https://example.org/pandas.whl"}},
        "inputs": {"data.sha256": {"A": "a" * 64, "B": "d" * 64}, "data.size_bytes": {"A": 10, "B": 12}},
        "outputs": {"outputs/model.joblib": {"A": f"{'b' * 12}, 5 bytes", "B": f"{'e' * 12}, 5 bytes"}},
        "host": {"host": {"A": "node1", "B": "node2"}},
        "time": {"duration_s": {"A": 2.0, "B": 3.5}},
    }
    assert comparison.is_code_same is True
    (accuracy, *_) = (row for row in comparison.sections[1].rows if row.key == "accuracy")
    assert accuracy.differences == {"B": pytest.approx(0.05)}


def test_more_than_two_runs_are_each_compared_with_the_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [recorded(root, number, metrics={"accuracy": number / 10}) for number in (1, 2, 3)]
    folders.append(recorded(root, 4, files={"train.py": TRAIN + "print('more')\n"}, metrics={"accuracy": 0.1}))

    assert main(["compare", *(folder.name for folder in folders)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert any(re.fullmatch(r"\s+accuracy\s+0\.1\s+0\.2 \(\+0\.1\)\s+0\.3 \(\+0\.2\)\s+0\.1", line) for line in lines)
    assert "config: the same" in lines
    assert [line.strip() for line in lines if " and A" in line] == [
        "B and A: the same",
        "C and A: the same",
        "D and A: 1 file differs",
    ]
    assert "    +print('more')" in lines
    assert all(len(line) <= 80 for line in lines)


def test_the_code_is_compared_file_by_file(root: Path) -> None:
    first = recorded(
        root,
        1,
        files={"train.py": TRAIN, "old.py": "x = 1\n", "gone.py": "y = 2\n", "data.bin": b"\0\1", "long.txt": "a" * 9},
    )
    second = recorded(
        root,
        2,
        files={
            **{"train.py": TRAIN.replace("trained", "done"), "pkg/new.py": "x = 1\n", "more.py": "z = 3\n"},
            **{"data.bin": b"\0\2\3", "long.txt": "b" * 9, "latin.txt": "größer".encode("latin-1")},
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "MAX_DIFF_BYTES", 8)
        large = {file.path: file for file in compared(first, second).code[0].files}["long.txt"]
    files = {file.path: file for file in compared(first, second).code[0].files}

    assert large.note == "too large for a diff: 9 bytes → 9 bytes"
    assert {path: file.change for path, file in files.items()} == {
        **{"data.bin": "changed", "gone.py": "removed", "latin.txt": "added", "long.txt": "changed"},
        **{"more.py": "added", "pkg/new.py": "renamed", "train.py": "changed"},
    }
    assert files["train.py"].diff == (
        *("--- A/train.py", "+++ B/train.py", "@@ -1,3 +1,3 @@", " import os", " "),
        *("-print('trained')", "+print('done')"),
    )
    assert files["pkg/new.py"].before == "old.py"
    assert files["data.bin"].note == "binary: 2 bytes → 3 bytes"
    assert files["latin.txt"].note == "binary: 6 bytes"
    assert files["more.py"].diff[-1] == "+z = 3"


def test_a_file_that_may_be_executed_now_differs_by_its_mode(root: Path) -> None:
    first, second = recorded(root, 1), recorded(root, 2)
    (root / "sources/2/train.py").chmod(0o755)
    snapshot = take(root / "sources/2", store=root / ".amlcore/snapshots", limits=SnapshotLimits())
    document = json.loads((second / "run.json").read_text()) | {"snapshot": {"id": snapshot.id}}
    (second / "run.json").write_text(json.dumps(document))

    (file,) = compared(first, second).code[0].files

    assert (file.change, file.note) == ("mode", "644 → 755")


def test_snapshots_that_are_gone_or_damaged_are_told(root: Path) -> None:
    first = recorded(root, 1)
    second = recorded(root, 2, files={"train.py": "print('other')\n"})
    same = recorded(root, 3)
    objects = root / ".amlcore/snapshots/objects"
    for path in objects.glob("*/*"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b"#")
    (file,) = compared(first, second).code[0].files
    assert "is damaged" in str(file.note)
    shutil.rmtree(objects)
    (file,) = compared(first, second).code[0].files
    assert "No such file" in str(file.note)
    shutil.rmtree(root / ".amlcore/snapshots/manifests")
    (one,) = compared(first, second).code
    assert one.is_same is False
    assert "the files cannot be compared: there is no snapshot" in str(one.note)
    assert compared(first, same).is_code_same is True  # their ids say so


def test_a_file_of_many_changed_lines_is_not_diffed(root: Path) -> None:
    first = recorded(root, 1, files={"rows.txt": "".join(f"{number}\n" for number in range(9000))})
    second = recorded(root, 2, files={"rows.txt": "".join(f"{number}\n" for number in range(9000, 0, -1))})
    (file,) = compared(first, second).code[0].files
    assert file.note == "too many lines for a diff: 9000 → 9000"
    assert file.diff == ()


def test_runs_that_a_script_started_and_sweeps_are_compared_with_notes(root: Path) -> None:
    first = recorded(root, 1, metrics={"loss": math.nan})
    parent = "20260101-000002-000002"
    own = write_run(root, 2, name=f"{parent}_1", parent=parent, metrics={"loss": math.nan})
    document = json.loads((own / "run.json").read_text()) | {"snapshot": None}
    (own / "run.json").write_text(json.dumps(document))
    (own / "config.yaml").unlink()
    sweep = recorded(root, 3, sweep=True)

    comparison = compared(first, own, sweep)

    assert [facts.kind for facts in comparison.runs] == ["run", "child run", "sweep"]
    assert "it has no configuration: a script started it by itself" in comparison.runs[1].notes
    assert "it has no lock, so its packages cannot be compared" in comparison.runs[1].notes
    assert [one.is_same for one in comparison.code] == [None, True]
    assert "B has no snapshot" in str(comparison.code[0].note)
    (loss,) = comparison.sections[1].rows
    assert loss.key == "loss"
    assert not loss.is_same  # the sweep has none
    assert compared(first, own).sections[1].is_same  # not-a-number equals itself here


def test_a_running_run_is_compared_as_it_is_now(root: Path) -> None:
    first, second = recorded(root, 1), recorded(root, 2, state="Running")
    (second / "driver.json").write_text(json.dumps(identity()))

    comparison = compared(first, second)

    assert comparison.runs[1].notes == ["it is Running, so its metrics, outputs and times may still change"]
    assert differing(comparison)["run"]["state"] == {"A": "Completed", "B": "Running"}


def test_damaged_files_are_noted_and_the_others_compared(root: Path) -> None:
    first, second = recorded(root, 1), recorded(root, 2, metrics={"accuracy": 1})
    (second / "config.yaml").write_text("a: [")
    (second / "outputs.json").write_text("{}")

    comparison = compared(first, second)

    assert any("config.yaml is damaged" in note for note in comparison.runs[1].notes)
    assert any("outputs.json is damaged" in note for note in comparison.runs[1].notes)
    assert differing(comparison)["metrics"] == {"accuracy": {"B": 1}}


def test_runs_are_named_by_id_prefix_latest_and_folder_of_another_workspace(
    root: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    first = recorded(root, 1)
    second = recorded(root, 100)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(root, elsewhere)
    copy = elsewhere / first.relative_to(root)

    assert main(["compare", first.name[:15], "latest", str(copy), "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert [run["folder"] for run in document["runs"]] == [str(first), str(second), str(copy)]
    assert set(document) == {"runs", "sections", "code"}
    assert main(["compare", f"outputs/e/{first.name}/", second.name]) == 0


@pytest.mark.parametrize(
    ("references", "message"),
    [
        (["latest"], "compare takes 2 to 20 runs, not 1"),
        (["latest"] * 21, "compare takes 2 to 20 runs, not 21"),
        (["latest", "20260101-000001-000001"], "run 20260101-000001-000001 was given twice"),
        (["latest", "1999"], "run '1999': no such run"),
        (["latest", "/nowhere/1999"], "run '1999': no such run"),
    ],
)
def test_a_wrong_request_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], references: list[str], message: str
) -> None:
    recorded(root, 1)
    assert main(["compare", *references]) == 2
    assert message in capsys.readouterr().err


def test_all_shows_what_is_the_same_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [recorded(root, number).name for number in (1, 2)]
    assert main(["compare", *folders, "--all"]) == 0
    assert "compute.cores  1  1" in capsys.readouterr().out
    assert main(["compare", *folders, "--all", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["sections"]["config"]["rows"]
    assert rows == [{"key": "compute.cores", "same": True, "values": {"A": 1, "B": 1}, "differences": {}}]


class Checker(HTMLParser):
    """Collects what a page would load, and all text; fails where a tag is closed that was not opened last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@settings(deadline=None, max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_the_page_is_well_formed_and_escapes_everything(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("page")
    values = {"parameters": {text: text}, "tags": {"t": text}}
    folders = [recorded(root, 1, **values), recorded(root, 2, files={"train.py": f"{text}\n<script>"})]

    checker = Checker()
    checker.feed(page(compared(*folders), everything=True))

    assert checker.open == []
    assert checker.loads == []


def test_the_page_is_one_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [recorded(root, 1, tags={"x": "<b>"}).name, recorded(root, 2, files={"train.py": "<i>"}).name]
    assert main(["compare", *folders, "--html", "comparison.html"]) == 0
    text = (root / "comparison.html").read_text()
    assert "&lt;b&gt;" in text
    assert "&lt;i&gt;" in text
    assert "<b>" not in text
    assert main(["compare", *folders, "--html", "sources"]) == 2
    assert main(["compare", *folders, "--html", "no/such/page.html"]) == 2
    assert "--html no/such/page.html: the file cannot be written" in capsys.readouterr().err
