"""What every compute target must do: one suite, run for each backend by a subclass of Conformance."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.aml import Aml, Write, background, runs, until

HERE = "environment=current"
"""How soon what happened to a run shows in its state."""

SLEEPER = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "600"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
print("begun", flush=True)
time.sleep(600)
"""


class Conformance:
    """The suite; a subclass says how its backend is chosen."""

    overrides: ClassVar[tuple[str, ...]]
    starts_within_s: ClassVar[float] = 60.0
    keeps_queued_runs: ClassVar[bool]
    """Whether a run that still waits outlives its driver."""

    def job(self, *words: str) -> list[str]:
        at = words.index("--") if "--" in words else len(words)
        return ["run", *words[:at], HERE, *self.overrides, *words[at:]]

    def begun(self, aml: Aml, *states: str) -> dict[str, Any]:
        """The newest run, as soon as it is in one of `states`, else Running."""
        wanted = states or ("Running",)
        return dict(
            until(
                lambda: next((run for run in runs(aml) if run["state"] in wanted), None), within_s=self.starts_within_s
            )
        )

    def test_a_run_leaves_the_same_record(self, aml: Aml, write: Write) -> None:
        write("a.py", "open('outputs/x', 'w').write('x')\nprint('said')\n")

        said = aml(*self.job("a.py"))

        assert said.out == "said\n"
        (run,) = runs(aml)
        assert (run["state"], run["reason"], run["attempt"]) == ("Completed", None, 1)
        details = aml("show", "latest", "--json").json
        assert [item["path"] for item in details["outputs"]] == ["outputs/x"]
        assert {"Preparing", "Queued", "Running", "Finalizing", "Completed"} <= set(details["times"])
        assert details["usage"]["max_rss_bytes"] > 1e6
        assert not (Path(run["folder"]) / "attempts/1/work").exists()

    def test_lines_appear_while_the_script_goes_on(self, project: Path, aml: Aml, write: Write) -> None:
        write(
            "a.py",
            "import os, sys, time\nfor number in range(3):\n    print(number, flush=True)\n"
            "    while not os.path.exists(sys.argv[1] + str(number)):\n        time.sleep(0.05)\n",
        )
        seen = project / "seen"

        with background(project, *self.job("a.py", "--", str(seen))) as driver:
            assert driver.stdout is not None
            for number in range(3):
                assert driver.stdout.readline() == f"{number}\n"
                Path(f"{seen}{number}").touch()
            assert driver.wait(60) == 0

    def test_a_failing_script_passes_its_exit_status_on(self, aml: Aml, write: Write) -> None:
        write("a.py", "import sys\nprint('why', file=sys.stderr)\nsys.exit(7)\n")

        said = aml(*self.job("a.py"), status=7)

        assert "| why" in said.err
        assert runs(aml)[0]["reason"] == "the script ended with exit status 7"

    def test_cancel_ends_the_script_and_its_children(self, project: Path, aml: Aml, write: Write) -> None:
        write("a.py", SLEEPER)
        pids = project / "pids"

        with background(project, *self.job("a.py", "--", str(pids))) as driver:
            assert driver.stdout is not None
            driver.stdout.readline()
            aml("cancel", "latest")
            assert driver.wait(20) == 130

        (run,) = runs(aml)
        assert (run["state"], run["reason"]) == ("Canceled", "canceled")
        assert not [pid for pid in pids.read_text().split() if Path(f"/proc/{pid}").exists()]

    def test_a_script_that_ignores_sigterm_is_killed(self, project: Path, aml: Aml, write: Write) -> None:
        write("a.py", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER)
        pids = project / "pids"

        with background(project, *self.job("a.py", "compute.kill_wait_s=1", "--", str(pids))) as driver:
            assert driver.stdout is not None
            driver.stdout.readline()
            aml("cancel", "latest")
            assert driver.wait(20) == 130

        assert not [pid for pid in pids.read_text().split() if Path(f"/proc/{pid}").exists()]

    def test_the_time_limit_is_told_by_sigterm_first(self, aml: Aml, write: Write) -> None:
        write(
            "a.py",
            "import signal, sys, time\n"
            "def save(*_):\n    open('outputs/saved', 'w').write('x')\n    sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, save)\ntime.sleep(600)\n",
        )

        aml(*self.job("a.py", "compute.timeout_min=0.03"), status=1)

        (run,) = runs(aml)
        assert (run["state"], run["reason"]) == ("Failed", "the run took longer than its limit of 1.8 s")
        assert (Path(run["folder"]) / "outputs/saved").exists()

    def test_an_exceeded_memory_limit_is_named_with_its_peak(self, aml: Aml, write: Write) -> None:
        write("a.py", "import time\nkept = [bytearray(b'x' * 10_000_000) for _ in range(60)]\ntime.sleep(60)\n")

        aml(*self.job("a.py", "compute.mem_gb=0.3"), status=1)

        (run,) = runs(aml)
        assert run["state"] == "Failed"
        assert "memory" in run["reason"]
        assert "0.3 GB" in run["reason"]
        assert aml("show", "latest", "--json").json["usage"]["max_rss_bytes"] > 0.3e9

    def test_threads_are_the_cores(self, aml: Aml, write: Write) -> None:
        write(
            "a.py",
            "import os, joblib\nprint(os.environ['OMP_NUM_THREADS'], joblib.Parallel(n_jobs=-1)._effective_n_jobs())\n",
        )

        assert aml(*self.job("a.py", "compute.cores=1")).out == "1 1\n"

    def test_eight_runs_at_once_are_eight_runs(self, project: Path, aml: Aml, write: Write) -> None:
        write("a.py", "import os\nopen('outputs/pid', 'w').write(str(os.getpid()))\n")
        command = [sys.executable, "-m", "amlcore", *self.job("a.py", "compute.slots=3")]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        drivers = [subprocess.Popen(command, cwd=project, **quiet) for _ in range(8)]

        assert [driver.wait(200) for driver in drivers] == [0] * 8
        found = runs(aml)
        assert [run["state"] for run in found] == ["Completed"] * 8
        assert len({(Path(run["folder"]) / "outputs/pid").read_text() for run in found}) == 8

    def test_a_detached_run_is_followed_from_a_new_process(self, project: Path, aml: Aml, write: Write) -> None:
        write("a.py", "import os, sys, time\nprint('first', flush=True)\n"
              "while not os.path.exists(sys.argv[1]): time.sleep(0.05)\nprint('last')\n")  # fmt: skip
        go = project / "go"

        assert aml(*self.job("a.py", "--detach", "--", str(go))).out == ""
        with background(project, "logs", "latest", "--follow") as follower:
            self.begun(aml)
            go.touch()
            assert follower.communicate(timeout=60)[0].endswith("first\nlast\n")
        assert aml("wait", "latest").status == 0
        assert runs(aml)[0]["state"] == "Completed"

    def test_a_run_that_waits_is_followed_to_its_end(self, project: Path, aml: Aml, write: Write) -> None:
        write("a.py", "print('said')\n")
        with ExitStack() as full:
            full.enter_context(self.full(project, aml, write))
            aml(*self.job("a.py", "--detach"))
            until(lambda: [run for run in runs(aml, "--experiment", "a") if self.says_why(run)])
            with background(project, "logs", "latest", "--follow") as follower:
                assert follower.stderr is not None
                assert "environment 'current'" in follower.stderr.readline()
                full.close()
                assert follower.communicate(timeout=60)[0] == "said\n"

    def test_a_detached_run_is_canceled_from_a_new_process(self, project: Path, aml: Aml, write: Write) -> None:
        write("a.py", SLEEPER)
        aml(*self.job("a.py", "--detach", "--", str(project / "pids")))
        self.begun(aml)

        aml("cancel", "latest")

        assert aml("wait", "latest", status=130).status == 130

    def test_a_run_outlives_a_driver_killed(self, project: Path, aml: Aml, write: Write) -> None:
        write("a.py", "import time\nprint('begun', flush=True)\ntime.sleep(3)\nopen('outputs/done', 'w').write('x')\n")
        with background(project, *self.job("a.py")) as driver:
            assert driver.stdout is not None
            driver.stdout.readline()
            driver.kill()

        assert runs(aml)[0]["state"] == "Running"
        assert aml("wait", "latest").status == 0
        (run,) = runs(aml)
        assert run["state"] == "Completed"
        assert (Path(run["folder"]) / "outputs/done").read_text() == "x"

    def test_a_waiting_run_outlives_its_driver_where_the_backend_keeps_it(
        self, project: Path, aml: Aml, write: Write
    ) -> None:
        write("a.py", "print('said')\n")
        with self.full(project, aml, write), background(project, *self.job("a.py")) as driver:
            until(lambda: [run for run in runs(aml, "--experiment", "a") if run["state"] == "Queued" and run["reason"]])
            time.sleep(2)
            driver.kill()
            driver.wait()

        if self.keeps_queued_runs:
            assert aml("wait", "latest").status == 0
            assert aml("logs", "latest").out == "said\n"
        else:
            lost = runs(aml, "--experiment", "a")[0]
            assert (lost["state"], "lost" in lost["reason"]) == ("Failed", True)

    def test_a_queued_run_says_why_it_waits_and_can_be_canceled(self, project: Path, aml: Aml, write: Write) -> None:
        write("a.py", "print('never')\n")
        with self.full(project, aml, write), background(project, *self.job("a.py")) as driver:
            waiting = until(lambda: [run for run in runs(aml, "--experiment", "a") if self.says_why(run)])
            aml("cancel", waiting[0]["id"])
            assert driver.wait(20) == 130

        run = runs(aml, "--experiment", "a")[0]
        assert (run["state"], run["attempt"]) == ("Canceled", 0)

    def test_attempts_share_a_checkpoint_folder(self, aml: Aml, write: Write) -> None:
        write(
            "a.py",
            "import os\nfrom amlcore import Run\nfolder = Run.get_context().checkpoint_dir\n"
            "print(os.path.isdir(folder), os.path.relpath(folder, os.environ['AMLCORE_RUN']))\n",
        )

        assert aml(*self.job("a.py")).out == "True checkpoints\n"

    def full(self, project: Path, aml: Aml, write: Write) -> Any:
        """A context in which no further run of this backend can start."""
        raise NotImplementedError

    def says_why(self, run: dict[str, Any]) -> bool:
        raise NotImplementedError


def require(tool: str, *, variable: str) -> None:
    """Skip where `tool` is absent, unless CI promised it."""
    import shutil

    if shutil.which(tool) is None or subprocess.run([tool, "ping"], capture_output=True, check=False).returncode:
        if os.environ.get(variable):
            pytest.fail(f"{variable} is set, and {tool} does not answer")
        pytest.skip(f"no Slurm here ({tool} does not answer): tests/slurm/up starts one")
