"""The page in a real browser: everything that its menu reaches, with nothing failing on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.page.browser import Tab, browse
from tests.page.gallery import LONG, Gallery, ask, files_of, search
from tests.support.run_records import log_values, write_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def tab(url: str) -> Iterator[Tab]:
    with browse(url) as tab:
        yield tab
        assert tab.faults == []


def test_every_page_of_the_menu(tab: Tab, gallery: Gallery) -> None:
    run, sweep = f"experiments/gallery/runs/{gallery.full}", f"experiments/search/runs/{gallery.sweep}"
    pages = {
        "": "Recent Experiments",
        "experiments": "gallery",
        "models": "wine",
        "models/wine": "challenger",
        "models/wine/versions/1": "Inputs (4)",
        "settings": "Settings",
        "settings/webhooks": "Webhooks",
        "prompts": "Prompts",
        "experiments/gallery/runs": "baseline",
        "experiments/gallery/models": "Models",
        "experiments/gallery/traces": "Traces",
        "experiments/a.b/runs": "matching run",
        f"experiments/{LONG}/runs": "matching run",
        run: "Trained on the",
        f"{run}/model-metrics": "Auto-refresh",
        f"{run}/system-metrics": "system metrics",
        f"{run}/traces": "Traces",
        f"{run}/artifacts": "table.csv",
        sweep: "shows its trials in optuna-dashboard",
    }

    for number, (path, text) in enumerate(pages.items()):
        tab.open(path)
        tab.see(text)
        tab.screenshot(f"{number:02} {path.replace('/', ' ')[:60]}")
    assert "Model training" in tab.text
    for word in ("MLflow Assistant", "AI Gateway", "Playground", "Judges", "UI telemetry"):
        assert not tab.page.get_by_text(word).locator("visible=true").count(), word


def test_a_sweep_unfolds_into_its_trials(tab: Tab) -> None:
    tab.open("experiments/search/runs")
    tab.see("21 matching runs")
    assert "trial 7" not in tab.text
    tab.page.locator(".ag-row[row-index='0'] button").first.click()
    tab.see("trial 19")
    tab.screenshot("unfolded")

    assert sum(f"trial {number}" in tab.text for number in range(20)) > 10


def test_curves_comparisons_and_images_are_drawn(tab: Tab, gallery: Gallery, url: str) -> None:
    run = f"experiments/gallery/runs/{gallery.full}"
    for path in (f"{run}/model-metrics", "experiments/gallery/runs?compareRunsMode=CHART"):
        tab.open(path)
        tab.page.get_by_placeholder("Search metric charts").fill("loss")  # a chart out of sight is not drawn
        tab.page.locator("path.js-line").first.wait_for(timeout=20_000, state="attached")
    tab.screenshot("charts")
    identifiers = [run["info"]["run_id"] for run in search(url, "train")][:3]
    tab.open(f"compare-runs?runs={quote(json.dumps(identifiers))}&experiments={quote(json.dumps(['train']))}")
    tab.see("Parallel Coordinates Plot")
    tab.page.locator(".parcoords, .js-plotly-plot").first.wait_for(timeout=20_000, state="attached")
    tab.screenshot("comparison")
    tab.open(f"{run}/artifacts")
    tab.page.get_by_text("table.csv").first.click()
    tab.see("Oslo")
    tab.page.get_by_text("images", exact=True).first.click()
    tab.page.get_by_text("curve.png").first.click()
    tab.page.wait_for_function("[...document.images].some(image => image.naturalWidth > 100)", timeout=20_000)
    tab.screenshot("image")
    versions = {"1": run_of(url, "1"), "2": run_of(url, "2")}
    tab.open(f"compare-model-versions?name={quote(json.dumps('wine'))}&runs={quote(json.dumps(versions))}")
    tab.see("Comparing 2 Versions")


def run_of(url: str, version: str) -> str:
    """The run that a version of the model wine is from."""
    path = f"ajax-api/2.0/mlflow/model-versions/get?name=wine&version={version}"
    return str(json.loads(ask(f"{url}/{path}")[1])["model_version"]["run_id"])


def test_a_button_that_writes_is_answered_in_words(tab: Tab, gallery: Gallery) -> None:
    before = files_of(gallery.root)
    tab.open(f"experiments/gallery/runs/{gallery.full}")
    tab.page.get_by_role("button", name="Edit description").or_(
        tab.page.locator("[data-testid=edit-description-button], [data-component-id*='edit-description']")
    ).first.click(timeout=10_000)
    tab.page.locator("textarea").first.fill("mine")
    tab.page.get_by_role("button", name="Save").click()
    tab.see("aml note")
    tab.screenshot("refused")
    tab.faults.clear()  # the refusal itself

    assert files_of(gallery.root) == before


def test_a_running_run_grows(tab: Tab, gallery: Gallery) -> None:
    folder = write_run(gallery.root, 300, experiment="growing", state="Running", metrics={"loss": 1.0})
    tab.open(f"experiments/growing/runs/{folder.name}")
    tab.see("loss")
    log_values(folder, [("scalar", "accuracy", 0.75)], at=2e9)
    tab.page.wait_for_timeout(1500)
    tab.page.reload()
    tab.settle()

    tab.see("accuracy")
    assert Path(folder, "state.json").exists()
