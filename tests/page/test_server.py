"""The page's server: what it answers, what it refuses, and that it follows the folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.page.gallery import LONG, Gallery, ask, files_of, search, serving
from tests.support.aml import until
from tests.support.run_records import log_values, write_run

pytestmark = pytest.mark.slow

API = "ajax-api/2.0/mlflow"


def value(items: list[dict[str, Any]], key: str) -> Any:
    """What a list of keys and values has for `key`."""
    return next((item["value"] for item in items if item["key"] == key), None)


def get(url: str, path: str) -> Any:
    status, content = ask(f"{url}/{path}")
    assert status == 200, content
    return json.loads(content)


def test_experiments_of_any_name_and_all_runs_are_listed(url: str) -> None:
    experiments = get(url, f"{API}/experiments/search?max_results=100")["experiments"]

    names = {one["name"] for one in experiments} - {"growing"}  # a test in the browser adds that one
    assert names == {"train", "a.b", LONG, "gallery", "search"}
    for name, runs in (("train", 8), ("a.b", 1), (LONG, 1), ("gallery", 8), ("search", 21)):
        assert get(url, f"{API}/experiments/get?experiment_id={name}")["experiment"]["name"] == name
        assert len(search(url, name)) == runs, name


def test_a_run_has_all_that_was_logged_in_a_form_that_the_page_can_draw(url: str, gallery: Gallery) -> None:
    run = get(url, f"{API}/runs/get?run_id={gallery.full}")["run"]
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    tags = run["data"]["tags"]

    assert metrics["loss"] == pytest.approx(1 / 30 / 3)
    assert metrics["top"] == -metrics["bottom"] == pytest.approx(1.7976931348623157e308)
    assert {key: metrics.get(key) for key in ("folds", "point/x", "nothing")} == {
        "folds": 0.3,
        "point/x": 1.5,
        "nothing": None,
    }
    assert (value(tags, "nothing"), value(tags, "verdict")) == ("NaN", "good enough")
    assert value(run["data"]["params"], "C") == "3"
    series = get(url, f"{API}/metrics/get-history?run_id={gallery.full}&metric_key=loss")["metrics"]
    assert [point["step"] for point in series] == list(range(30))


def test_names_notes_tags_and_aliases_that_people_gave_are_shown(url: str, gallery: Gallery) -> None:
    run = get(url, f"{API}/runs/get?run_id={gallery.full}")["run"]
    wine = get(url, f"{API}/registered-models/get?name=wine")["registered_model"]
    first = get(url, f"{API}/model-versions/get?name=wine&version=1")["model_version"]

    assert run["info"]["run_name"] == "baseline"
    assert value(run["data"]["tags"], "mlflow.note.content") == "Trained on the *old* data."
    assert (value(run["data"]["tags"], "team"), value(run["data"]["tags"], "good")) == ("red", "yes")
    assert {alias["alias"]: alias["version"] for alias in wine["aliases"]} == {"champion": "1", "challenger": "2"}
    assert value(first["tags"], "stage") == "prod"
    assert [run["info"]["run_id"] for run in search(url, "gallery", filter="tags.good = 'yes'")] == [gallery.full]
    assert [run["info"]["run_id"] for run in search(url, "gallery", filter="attributes.run_name = 'baseline'")] == [
        gallery.full
    ]


def test_archived_runs_are_the_deleted_ones(url: str, gallery: Gallery) -> None:
    shown = {run["info"]["run_id"] for run in search(url, "gallery")}
    hidden = {run["info"]["run_id"] for run in search(url, "gallery", run_view_type="DELETED_ONLY")}

    assert gallery.archived in hidden
    assert not shown & hidden
    assert {run["info"]["run_id"] for run in search(url, "gallery", run_view_type="ALL")} == shown | hidden


def test_a_sweep_names_its_trials_and_leads_to_its_dashboard_and_its_reports(url: str, gallery: Gallery) -> None:
    runs = search(url, "search")
    (sweep,) = (run for run in runs if run["info"]["run_id"] == gallery.sweep)
    trials = [run for run in runs if value(run["data"]["tags"], "mlflow.parentRunId") == gallery.sweep]
    note = value(sweep["data"]["tags"], "mlflow.note.content")

    assert {run["info"]["run_name"] for run in trials} == {f"trial {number}" for number in range(20)}
    assert f"`aml ui {gallery.sweep}`" in note
    assert f"(#/experiments/search/runs/{gallery.sweep}/artifacts/trials.csv)" in note


def test_filters_and_orders_are_mlflows(url: str) -> None:
    deep = search(url, "train", filter="params.depth LIKE '%' AND params.depth != '7' AND metrics.loss < 0.16")
    ascending = search(url, "train", order_by=["metrics.loss ASC"], max_results=3)

    assert [value(run["data"]["params"], "depth") for run in deep] == ["6"]
    assert [value(run["data"]["params"], "depth") for run in ascending] == ["7", "6", "5"]
    assert len(search(url, "train", LONG, filter="attributes.status = 'FAILED'")) == 1
    assert ask(f"{url}/{API}/runs/search", {"experiment_ids": ["train"], "filter": "not a filter"})[0] == 400


def test_files_are_the_outputs_images_and_logs(url: str, gallery: Gallery) -> None:
    def names(path: str) -> list[str]:
        listing = get(url, f"{API}/artifacts/list?run_id={gallery.full}{path}")
        return [file["path"] for file in listing.get("files", [])]

    def file(path: str) -> tuple[int, bytes]:
        return ask(f"{url}/get-artifact?run_id={gallery.full}&path={path}")

    assert names("") == ["deep", "images", "logs", "model.joblib", "table.csv"]
    assert names("&path=deep") == ["deep/words.txt"]
    assert file("deep/words.txt") == (200, b"hello from deep inside\n")
    assert file("images/curve.png")[1].startswith(b"\x89PNG")
    assert file("logs/stdout.txt") == (200, b"done\n")
    for path in ("request.json", "run.json", "../request.json", "attempts/1/claim.json", "/etc/passwd", "deep", "gone"):
        assert file(path)[0] in (400, 404), path
    first = f"{url}/model-versions/get-artifact?name=wine&version=1"
    assert ask(f"{first}&path=model.joblib")[0] == 200
    assert [ask(f"{first}&path={path}")[0] for path in ("../model.json", "gone")] == [400, 404]


def test_a_model_that_mlflow_did_not_save_has_a_schema_all_the_same(url: str) -> None:
    file = f"{url}/model-versions/get-artifact?path=MLmodel&name="
    status, content = ask(f"{file}wine&version=1")
    inputs = json.loads(yaml.safe_load(content)["signature"]["inputs"])

    assert status == 200
    assert inputs[0] == {"name": "sepal length (cm)", "type": "double", "required": True}
    assert len(inputs) == 4
    assert ask(f"{file}wine&version=99")[0] == 404
    assert ask(f"{file}../outputs&version=1")[0] == 404


def test_nothing_is_written(url: str, gallery: Gallery) -> None:
    before = files_of(gallery.root)
    run = {"run_id": gallery.full}
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "runs/create", {"experiment_id": "gallery"}),
        ("POST", "runs/set-tag", {**run, "key": "a", "value": "b"}),
        ("POST", "runs/log-metric", {**run, "key": "loss", "value": 1, "timestamp": 1}),
        ("POST", "runs/delete", run),
        ("POST", "experiments/create", {"name": "mine"}),
        ("POST", "registered-models/create", {"name": "mine"}),
        ("DELETE", "registered-models/delete", {"name": "wine"}),
        ("PATCH", "model-versions/update", {"name": "wine", "version": "1", "description": "x"}),
    ]

    for method, action, body in requests:
        status, content = ask(f"{url}/{API}/{action}", body, method=method)
        assert status == 403, action
        assert "`aml ui` only reads the record" in json.loads(content)["message"]
    assert files_of(gallery.root) == before


def test_other_hosts_and_origins_are_refused(url: str) -> None:
    searching = f"{url}/{API}/runs/search"

    assert ask(f"{url}/", headers={"Host": "evil.example"})[0] == 403
    assert ask(f"{url}/", headers={"Host": "192.168.1.5:80"})[0] == 403
    assert ask(searching, {"experiment_ids": ["train"]}, headers={"Origin": "http://evil.example"})[0] == 403
    assert ask(searching, {"experiment_ids": ["train"]}, headers={"Origin": url})[0] == 200


def test_what_happens_to_the_folders_appears(url: str, gallery: Gallery) -> None:
    folder = write_run(gallery.root, 100, experiment="living", state="Running", metrics={"loss": 1.0})
    half = gallery.root / "outputs/living/20260101-000200-00aaaa"
    half.mkdir()
    torn = write_run(gallery.root, 101, experiment="living")
    (torn / "run.json").write_text('{"id": ')

    (run,) = until(lambda: [one for one in search(url, "living") if one["info"]["run_id"] == folder.name])
    assert value(run["data"]["metrics"], "loss") == 1.0
    log_values(folder, [("scalar", "loss", 0.5)], at=2e9)
    (folder / "models.jsonl").write_text(json.dumps({"model": "wine:1", "at": "2026-01-01T00:00:00+00:00"}) + "\n")
    until(lambda: value(search(url, "living", order_by=["metrics.loss"])[0]["data"]["metrics"], "loss") == 0.5)
    assert {one["info"]["run_id"] for one in search(url, "living")} <= {folder.name, torn.name}
    shutil.rmtree(folder.parent)
    until(lambda: not search(url, "living"))
    assert ask(f"{url}/{API}/runs/get?run_id={folder.name}")[0] == 404


def test_what_mlflow_has_and_the_record_has_not_is_empty(url: str) -> None:
    assert get(url, f"{API}/gateway-proxy?gateway_path=api/2.0/endpoints/") == {"endpoints": []}
    for path in ("webhooks", "users/current"):
        assert get(url, f"{API}/{path}") == {}
    for path in ("scorers/list?experiment_id=train", "assistant/providers", "label-schemas/list?experiment_id=train"):
        get(url, f"ajax-api/3.0/mlflow/{path}")
    assert ask(f"{url}/ajax-api/3.0/mlflow/traces/search", {"locations": []})[0] == 200


def test_a_workspace_that_was_copied_and_is_read_only_is_shown(gallery: Gallery, tmp_path: Path) -> None:
    copy = tmp_path / "copied & 100 %"
    shutil.copytree(gallery.root, copy, symlinks=True)
    moved = gallery.root.rename(gallery.root.with_name("away"))
    before = files_of(copy)
    try:
        for path in (*copy.rglob("*"), copy):
            path.chmod(path.stat().st_mode & 0o555)
        with serving(copy) as url:
            assert len(search(url, "gallery")) == 8
            path = f"get-artifact?run_id={gallery.full}&path=table.csv"
            assert ask(f"{url}/{path}") == (200, b"city,rain\nOslo,7\n")
            first = f"{url}/model-versions/get-artifact?name=wine&version=1&path=model.joblib"
            assert ask(first)[0] == 200
        assert files_of(copy) == before
    finally:
        for path in (copy, *copy.rglob("*")):
            path.chmod(path.stat().st_mode | 0o700)
        moved.rename(gallery.root)
