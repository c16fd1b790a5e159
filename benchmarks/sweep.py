"""`make bench-sweep`, a part of `make bench`: what a sweep costs, next to a shell loop, Hydra's sweeper and theory.

All pairs are measured in one run, in turn; ratios are medians of pairs.
"""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from amlcore.config import Search, compose_search
from amlcore.execution.sweep_driver import SweepDriver
from amlcore.execution.sweep_submission import submit_sweep
from amlcore.record.record import Record
from amlcore.sweep.study import Study, TrialState

ROOT = Path(__file__).parent.parent
AML = str(Path(sys.executable).parent / "aml")
UV = Path(sys.executable).parent / "uv"
ROUNDS = 3
TRIALS = 200
PLAIN_RUNS = 20  # of so many runs the time is taken for TRIALS of them
AT_ONCE = 2
PLUGINS = ("hydra-optuna-sweeper==1.4.0rc3", "hydra-joblib-launcher==1.4.0rc3")
PARETO_TRIALS = 32
SHORTEST_S, LONGEST_S, SHAPE = 0.4, 10.0, 1.2
COUNTED = 100
MANY = 5000

# The training code of scripts/iris/train_iris.py as a function of Hydra: what it is asked for, and nothing recorded.
HYDRA = """
import hydra
from sklearn import datasets
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

@hydra.main(version_base=None, config_path=".", config_name="config")
def train(config):
    iris = datasets.load_iris()
    X_train, X_test, y_train, y_test = train_test_split(iris.data, iris.target, random_state=0)
    model = SVC(kernel=config.kernel, C=config.penalty).fit(X_train, y_train)
    print(confusion_matrix(y_test, model.predict(X_test)))
    return float(model.score(X_test, y_test))

train()
"""
HYDRA_CONFIG = f"""
defaults:
  - _self_
  - override hydra/sweeper: optuna
  - override hydra/sweeper/sampler: random
  - override hydra/launcher: joblib
kernel: linear
penalty: 1.0
hydra:
  sweeper: {{direction: maximize, n_trials: {TRIALS}, n_jobs: {AT_ONCE}, sampler: {{seed: 1}}}}
  launcher: {{n_jobs: {AT_ONCE}}}
"""
SPACE = ["kernel=linear,rbf,poly,sigmoid", "penalty=interval(0.5,1.5)"]
SLEEPS = "import argparse, time\nparser = argparse.ArgumentParser()\nparser.add_argument('--s', type=float)\n"
SLEEPS += "time.sleep(parser.parse_args().s)\n"
LOGS = "import argparse\nfrom amlcore import Run\nparser = argparse.ArgumentParser()\n"
LOGS += "parser.add_argument('--x', type=float)\nRun.get_context().log('score', parser.parse_args().x)\n"


def main(root: Path) -> None:
    (root / "scripts").mkdir()
    shutil.copytree(ROOT / "scripts/iris", root / "scripts/iris")
    _short_trials(root)
    _heavy_tails(root)
    _own_cost(root)


def _short_trials(root: Path) -> None:
    """Each way to try so many points, in turn."""
    ways = {"a shell loop of python": _shell_loop(root), "Hydra's Optuna sweeper, joblib": _hydra(root)}
    aml = [AML, "run", "-m", "script=train_iris", "environment=current", f"compute.slots={AT_ONCE}", "sweep=random"]
    aml += ["sweep.primary_metric=Accuracy", "sweep.seed=1", f"sweep.max_total_runs={TRIALS}"]
    aml += [f"script.arguments.{words}" for words in SPACE]
    ours: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        ours.append(_seconds(lambda: _run(aml, root)))
        _wait_for_plots(root)
        for name, way in ways.items():
            theirs[name].append(way())
    print(f"\n{f'{TRIALS} trials of the iris script, {AT_ONCE} at once':44} {'s':>8} {'aml ÷ it':>9} {'at most':>8}")
    print(f"{'aml run -m, with all that a run records':44} {statistics.median(ours):8.1f}")
    for (name, times), at_most in zip(theirs.items(), (0.1, 0.5), strict=True):
        ratio = statistics.median(one / other for one, other in zip(ours, times, strict=True))
        print(f"{name:44} {statistics.median(times):8.1f} {ratio:9.3f} {at_most:8.2f}")
    print(f"(the shell loop's from {PLAIN_RUNS} runs, times {TRIALS / PLAIN_RUNS:g}; medians of {ROUNDS})", flush=True)


def _wait_for_plots(root: Path) -> None:
    """A sweep's plots are drawn after its end, which must not slow down what is measured next."""
    sweeps = [folder for folder in (root / "outputs/train_iris").iterdir() if "_" not in folder.name]
    listings = [Path(Record(folder).layout.listing) for folder in sweeps if folder.is_dir()]
    while not all("outputs/plots/" in listing.read_text() for listing in listings):
        time.sleep(0.1)


def _shell_loop(root: Path) -> Callable[[], float]:
    script = str(root / "scripts/iris/train_iris.py")
    command = ["xargs", "-P", str(AT_ONCE), "-n", "1", sys.executable, script, "--penalty"]
    folder = root / "plain"
    folder.mkdir()
    penalties = "\n".join(str(0.5 + number / PLAIN_RUNS) for number in range(PLAIN_RUNS))

    def seconds() -> float:
        return _seconds(lambda: _run(command, folder, said=penalties)) * TRIALS / PLAIN_RUNS

    return seconds


def _hydra(root: Path) -> Callable[[], float]:
    folder = root / "hydra"
    folder.mkdir()
    python = folder / "venv/bin/python"
    _run([str(UV), "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], folder)
    same = [f"{name}=={version(name)}" for name in ("scikit-learn", "numpy", "scipy", "optuna")]
    install = [
        str(UV),
        "pip",
        "install",
        "--quiet",
        "--prerelease=allow",
        "--compile-bytecode",
        "--python",
        str(python),
    ]
    _run([*install, *PLUGINS, *same], folder)
    (folder / "train.py").write_text(HYDRA)
    (folder / "config.yaml").write_text(HYDRA_CONFIG)
    return lambda: _seconds(lambda: _run([str(python), "train.py", "-m", *SPACE], folder))


def _heavy_tails(root: Path) -> None:
    """The time from the first start of a script to the last end, next to two schedules of the same durations."""
    chance = random.Random(1)
    durations = [round(min(SHORTEST_S * chance.paretovariate(SHAPE), LONGEST_S), 6) for _ in range(PARETO_TRIALS)]
    _script(root, "sleeps", SLEEPS)
    title = f"{PARETO_TRIALS} trials of Pareto durations"
    print(f"\n{title:30} {'s':>8} {'greedy':>8} {'÷ it':>7} {'at most':>8} {'in batches ÷ greedy':>20}")
    for slots in (2, 4):
        words = ["script.script=sleeps.py", "script.source_directory=sleeps", f"compute.slots={slots}", "sweep=grid"]
        search = _search(root, [*words, f"+script.arguments.s={','.join(map(str, durations))}"])
        ratios = []
        for _ in range(ROUNDS):
            record = submit_sweep(search, overrides=[])
            _drive(search, record)
            trials = [Record(Path(f"{record.folder}_{number}")) for number in range(PARETO_TRIALS)]
            first = min(trial.claim.at for trial in trials if trial.claim is not None)
            took = max(trial.result.ended or 0 for trial in trials if trial.result is not None) - first
            ratios.append(took / greedy(durations, slots))
        best, batches = greedy(durations, slots), batched(durations, slots) / greedy(durations, slots)
        ratio = statistics.median(ratios)
        print(
            f"{f'{slots} slots':30} {ratio * best:8.2f} {best:8.2f} {ratio:7.3f} {1.05:8.2f} {batches:20.2f}",
            flush=True,
        )


def greedy(durations: list[float], slots: int) -> float:
    """The wall time of a schedule in which the slot that frees first gets the next trial."""
    free = [0.0] * slots
    for duration in durations:
        free[free.index(min(free))] += duration
    return max(free)


def batched(durations: list[float], slots: int) -> float:
    """The wall time of a schedule that waits for the slowest of so many trials before it starts the next."""
    return sum(max(durations[start : start + slots]) for start in range(0, len(durations), slots))


def _own_cost(root: Path) -> None:
    """Processor time of the driver a trial, with that of the sampler apart: its own and the kernel's for it."""
    _script(root, "logs", LOGS)
    for kind in (RandomSampler, TPESampler):
        Meter.measure(kind)
    print(f"\n{'the driver, a trial':44} {'own ms':>8} {'at most':>8} {'sampler':>8}")
    for sampler in ("random", "tpe"):
        few: list[float] = []
        many: list[float] = []
        for _ in range(ROUNDS):
            for costs, before in ((few, 0), (many, MANY)):
                own, drawn = _cost(root, sampler, before=before)
                costs.append(own)
                name = f"{sampler}, {before} to {before + COUNTED} trials"
                print(f"{name:44} {own:8.1f} {'':8} {drawn:8.1f}", flush=True)
        ratio = statistics.median(one / other for one, other in zip(many, few, strict=True))
        print(f"{f'{sampler}, median':44} {statistics.median(few):8.1f} {15:8d}")
        print(f"{f'{sampler}, after {MANY} trials ÷ after none':44} {ratio:8.2f} {2:8d}", flush=True)


def _cost(root: Path, sampler: str, *, before: int) -> tuple[float, float]:
    """Milliseconds a trial: all but the sampler, and the sampler."""
    words = ["script.script=logs.py", "script.source_directory=logs", f"compute.slots={AT_ONCE}", f"sweep={sampler}"]
    words += ["sweep.primary_metric=score", "sweep.seed=1", "+script.arguments.x=interval(0,1)"]
    search = _search(root, [*words, f"sweep.max_total_runs={before + COUNTED}"])
    record = submit_sweep(search, overrides=[])
    if before:
        _as_if_tried(search, record, before)
    meter = Meter()
    _drive(search, record, on_step=meter)
    # When the first step is over, so many of the trials have been started already.
    own, drawn = (1000 * seconds / (COUNTED - AT_ONCE) for seconds in (meter.own_s, meter.sampler_s))
    return own, drawn


class Meter:
    """Tells the processor time of the driver from its first step to its last, and what of it was the sampler's."""

    sampler_total_s = 0.0

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        self.own_s = 0.0
        self.sampler_s = 0.0

    def __call__(self, *_: Any) -> None:
        now = time.process_time(), Meter.sampler_total_s
        if self._began is None:
            self._began = now
        self.sampler_s = now[1] - self._began[1]
        self.own_s = now[0] - self._began[0] - self.sampler_s

    @classmethod
    def measure(cls, sampler: type[BaseSampler]) -> None:
        """Take the time of what a sampler does when a trial is asked for or told."""
        for name in (
            "infer_relative_search_space",
            "sample_relative",
            "sample_independent",
            "before_trial",
            "after_trial",
        ):
            setattr(sampler, name, cls._timed(getattr(sampler, name)))

    @classmethod
    def _timed(cls, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            begun = time.process_time()
            try:
                return call(*arguments)
            finally:
                cls.sampler_total_s += time.process_time() - begun

        return timed


def _as_if_tried(search: Search, record: Record, count: int) -> None:
    """Lay what so many finished trials leave: their lines in the study, and a folder each."""
    study = Study(replace(search.sweep, sampler="random"), search.space, file=Path(record.layout.study))
    for number in range(count):
        trial = study.ask()
        study.tell(trial.number, TrialState.COMPLETE, trial.values["script.arguments.x"])
        record.folder.with_name(f"{record.folder.name}_{number}").mkdir()
    study.close()


def _search(root: Path, words: list[str]) -> Search:
    search = compose_search(["environment=current", *words], root=root)
    assert search is not None
    return search


def _drive(search: Search, record: Record, *, on_step: Callable[..., None] = lambda *_: None) -> None:
    driver = SweepDriver(search, record, log=lambda _: None, on_step=on_step)
    status = driver.drive()
    assert status.state == "Completed", status


def _script(root: Path, name: str, text: str) -> None:
    (root / name).mkdir()
    (root / name / f"{name}.py").write_text(text)


def _run(command: list[str], folder: Path, *, said: str | None = None) -> None:
    done = subprocess.run(command, cwd=folder, input=said, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")


def _seconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
