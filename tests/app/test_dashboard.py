"""`aml ui`: a real server on a sweep's study, which is read and never written."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.aml import HERE, Aml, Write, background, until
from tests.support.ports import free_ports
from tests.support.sweeps import LOGS, SCRIPT, sweep_and_trials


def get(url: str, *, data: dict[str, Any] | None = None, method: str = "GET") -> tuple[int, str]:
    """The status and the text of an answer; status 0 where nobody answers."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""


def test_a_sweep_is_shown_while_it_runs_and_stays_as_it_is(project: Path, aml: Aml, write: Write) -> None:
    write("src/train.py", LOGS)
    write("conf/script/toy.yaml", SCRIPT)
    aml(
        *("run", "-m", "--detach", "script=toy", HERE, "sweep.primary_metric=score", "sweep.plots=false"),
        *("script.arguments.x=1,2,3", "script.arguments.sleep=0,60"),
    )
    sweep = aml("runs", "--json").json[0]
    study, (port,) = Path(sweep["folder"], "study.jsonl"), free_ports(1)
    until(lambda: study.exists() and study.stat().st_size)

    with background(project, "ui", sweep["id"], "--port", port) as process:
        url = f"http://127.0.0.1:{port}"
        until(lambda: get(f"{url}/dashboard/")[0] == 200)
        assert "<title>Optuna Dashboard</title>" in get(f"{url}/dashboard/")[1]
        (listed,) = json.loads(get(f"{url}/api/studies")[1])["study_summaries"]
        assert listed["study_name"] == sweep["id"]

        def trials() -> list[dict[str, Any]]:
            return list(json.loads(get(f"{url}/api/studies/0?after=0")[1])["trials"])

        until(lambda: [trial["state"] for trial in trials()] == ["Complete", "Running"])
        first = trials()[0]
        assert {item["name"]: item["param_external_value"] for item in first["params"]} == {"sleep": "0", "x": "1"}
        assert first["values"] == [-4.0]
        assert get(f"{url}/api/studies/0/note", data={"body": "mine", "version": 1}, method="PUT")[0] >= 400
        assert get(f"{url}/api/studies/0", method="DELETE")[0] >= 400
        assert "mine" not in study.read_text()
        assert f"error: --port {port} on 127.0.0.1: " in aml("ui", sweep["id"], "--port", str(port), status=2).err
        aml("cancel", sweep["id"])
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert sweep_and_trials(aml)[0]["state"] == "Canceled"


def test_aml_ui_says_why_it_cannot_show_a_run(project: Path, aml: Aml, write: Write) -> None:
    write("a.py", "")
    write("blocked/sitecustomize.py", "import sys\nsys.modules['optuna_dashboard'] = None\n")
    aml("run", "-m", "a.py", HERE, "compute.cores=1,2")
    path = os.pathsep.join(filter(None, (str(project / "blocked"), os.environ.get("PYTHONPATH"))))

    assert "is not a sweep" in aml("ui", sweep_and_trials(aml)[1][0]["id"], status=2).err
    assert "has no primary metric" in aml("ui", "latest", status=2).err
    said = aml("ui", "latest", env={"PYTHONPATH": path}, status=2).err
    assert (
        said == "aml: error: aml ui needs optuna-dashboard, which is not installed here: "
        "pip install 'optuna-dashboard>=0.20', or pip install -e '.[dashboard]' in a checkout of amlcore\n"
    )
