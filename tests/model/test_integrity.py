"""The registered files are those that the run wrote, and the packaged files are those that were registered."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amlcore.errors import AmlcoreError, DeploymentError, ModelError, RecordError
from amlcore.execution import publication
from amlcore.model import Registration
from amlcore.runs.run import Run
from amlcore.serving.bento import Bento
from amlcore.serving.packaging import staged
from amlcore.worker.files import write_json
from tests.support.aml import Aml
from tests.support.serving_models import iris, register

TRAIN = """
import os, joblib
from sklearn.linear_model import LinearRegression
from amlcore import Run
from steps import double
X = [[1.0], [2.0]]
Run.get_context().log_sample(X)
os.makedirs("outputs/kept")
joblib.dump(LinearRegression().fit(X, double([1, 2])), "outputs/kept/model.joblib")
for name in ("outputs/kept/notes.txt", "outputs/sample.csv"):
    with open(name, "w") as file:
        file.write("1\\n")
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one completed run; its snapshot has the module of the script."""
    root = tmp_path_factory.mktemp("ended")
    (root / ".amlcore").mkdir()
    (root / ".amlcore/config.json").write_text('{"workspace_name": "ended"}')
    (root / "train.py").write_text(TRAIN)
    (root / "steps.py").write_text("def double(values):\n    return [2 * value for value in values]\n")
    command = [sys.executable, "-m", "amlcore", "run", "train.py", "environment=current"]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return root


@pytest.fixture
def run(ended: Path, tmp_path: Path) -> Run:
    """A copy of the run, to be damaged."""
    shutil.copytree(ended, tmp_path / "copy", symlinks=True)
    (folder,) = (tmp_path / "copy/outputs/train").iterdir()
    return Run(str(folder))


def replaced(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"#")


def halved(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"")


DAMAGES = [replaced, halved, emptied, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("path", "chosen"),
    [
        ("outputs/kept/model.joblib", "outputs/kept/model.joblib"),
        ("outputs/kept/notes.txt", "outputs/kept"),
        ("outputs/sample.csv", "outputs/kept/model.joblib"),
        ("sample.json", "outputs/kept/../kept/model.joblib"),
        ("lock.txt", "outputs/kept"),
    ],
)
def test_an_output_changed_after_the_run_is_not_registered(
    run: Run, path: str, chosen: str, damage: Callable[[Path], None]
) -> None:
    damage(Path(run.folder, path))
    sample = "outputs/sample.csv" if path == "outputs/sample.csv" else None
    with pytest.raises((ModelError, RecordError), match=Path(path).name):
        publication.register(run.record, Registration(name="changed", path=chosen, sample_input=sample))
    assert not list(run.workspace_path.glob("models/changed/*"))


def test_a_file_added_after_the_run_is_not_registered(run: Run) -> None:
    shutil.copy(Path(run.folder, "outputs/kept/model.joblib"), Path(run.folder, "outputs/model.joblib"))
    with pytest.raises(ModelError, match=r"outputs/model\.joblib was put there after run"):
        publication.register(run.record, Registration(name="changed"))
    Path(run.folder, "outputs/kept/more.txt").write_text("later")
    with pytest.raises(ModelError, match=r"kept/more\.txt was put there after run"):
        publication.register(run.record, Registration(name="changed", path="outputs/kept"))


@pytest.mark.parametrize("part", ["manifests/*.json", "objects/*/*"])
def test_code_changed_since_the_run_is_not_registered(run: Run, part: str) -> None:
    for path in Path(run.workspace_path, ".amlcore/snapshots").glob(part):
        replaced(path)
    with pytest.raises(AmlcoreError, match=r"has changed since it was stored|is damaged"):
        publication.register(run.record, Registration(name="changed", path="outputs/kept"))


def test_a_changed_lock_is_not_packaged(run: Run) -> None:
    model = publication.register(run.record, Registration(name="whole", path="outputs/kept"))
    assert model.verify()
    assert model.lock == Path(run.folder, "lock.txt").read_text()
    halved(model.folder / "lock.txt")
    with pytest.raises(ModelError, match=r"lock\.txt is not the file that was registered"):
        _ = model.lock
    with pytest.raises(ModelError, match=r"lock\.txt"), staged(model):
        pass


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["requirements.txt", "service.json", "model/model.json"])
def test_a_damaged_bento_is_one_message(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    source = tmp_path / "src"
    (source / "model").mkdir(parents=True)
    (source / "requirements.txt").write_text("scikit-learn==1.7\n")
    sha256 = hashlib.sha256(b"scikit-learn==1.7\n").hexdigest()
    write_json(str(source / "service.json"), {"auth": "key", "lock_sha256": sha256})
    write_json(str(source / "model/model.json"), {"python": "3.11.7", "methods": ["predict"]})
    bento = Bento("flowers", "1", tmp_path, "", {})

    def told() -> list[object]:
        return [bento.lock, bento.needs_key, bento.route]

    assert told() == ["scikit-learn==1.7\n", True, "/predict"]
    damage(source / name)
    with pytest.raises(DeploymentError, match=rf"flowers:1: .*{Path(name).name}.*"):
        told()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that nothing is written to."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "model.joblib").write_text("mine")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["model.joblib"]
    assert (folder / "model.joblib").read_text() == "mine"


@pytest.mark.parametrize("name", ["../outside/model.joblib", "/ABSOLUTE/model.joblib", "a/../../outside/other.joblib"])
def test_a_download_stays_in_its_folder_whatever_the_record_says(tmp_path: Path, outside: Path, name: str) -> None:
    model = register(tmp_path, iris())
    model.files = [{**model.files[0], "path": name.replace("/ABSOLUTE", str(outside))}]
    source = model.folder / "files" / model.files[0]["path"]
    if not source.exists():
        source.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(model.folder / "files/model.joblib", source)
    with pytest.raises(ModelError):
        model.download(tmp_path / "target", exist_ok=True)
    shutil.rmtree(tmp_path / "models")


def test_a_download_follows_no_link_out_of_its_folder(tmp_path: Path, outside: Path) -> None:
    model = register(tmp_path, iris())
    target = tmp_path / "target"
    target.mkdir()
    (target / "model.joblib").symlink_to(outside / "model.joblib")
    with pytest.raises(ModelError, match="already exists"):
        model.download(target)
    assert Path(model.download(target, exist_ok=True)).read_bytes() == model.verify().read_bytes()
    assert not (target / "model.joblib").is_symlink()
    (model.folder / "files/deep").mkdir()
    shutil.copy(model.folder / "files/model.joblib", model.folder / "files/deep/model.joblib")
    model.files = [{**model.files[0], "path": "deep/model.joblib"}]
    (target / "deep").symlink_to(outside)
    with pytest.raises(ModelError, match="would be written outside"):
        model.download(target, exist_ok=True)


def test_a_download_where_nothing_can_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        register(tmp_path, iris()).download(tmp_path / "file" / "below")


def test_a_whole_run_registers(run: Run, aml: Aml) -> None:
    said = aml("register", run.id, "--name", "whole", "--path", "outputs/kept", cwd=run.workspace_path)
    assert said.out.strip() == "whole:1"
