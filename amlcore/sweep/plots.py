"""Plots of a sweep, Optuna's own: as PNG by matplotlib, and together on one HTML page that needs no network."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amlcore.log import Log
from amlcore.sweep import timeline
from amlcore.sweep.goal import Goal
from amlcore.sweep.timeline import Spans
from amlcore.worker.files import write_bytes, write_text

if TYPE_CHECKING:
    from optuna.study import Study as OptunaStudy

TIMELINE = "timeline"
LEAST = 5
"""The completed trials that plots need; the table shows fewer better."""

Plot = tuple[str, str, dict[str, Any]]
"""The file name, Optuna's name of the plot, and its arguments."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 2em auto; max-width: 75em }}</style>
<script>{library}</script></head>
<body><h1>{title}</h1>
{body}
</body></html>
"""


def plots_of(metrics: Sequence[str], goals: Sequence[Goal]) -> list[Plot]:
    """The plots of a sweep; with several metrics, each has its own set."""
    several = len(metrics) > 1
    plots: list[Plot] = []
    for index, (metric, goal) in enumerate(zip(metrics, goals, strict=True)):
        ending = f"_{metric}" if several else ""
        # Without a target Optuna uses the goal: it draws the best value so far, and darkens the best trials.
        target: dict[str, Any] = {"target_name": metric, **({"target": _target(index)} if several else {})}
        plots += [
            (f"history{ending}", "optimization_history", target),
            (f"importances{ending}", "param_importances", {**target, "target": _loss(index, goal)}),
            (f"slice{ending}", "slice", target),
            (f"parallel_coordinate{ending}", "parallel_coordinate", target),
        ]
    if several and len(metrics) <= 3:
        plots.append(("pareto_front", "pareto_front", {"target_names": list(metrics)}))
    return plots


def importances(study: OptunaStudy, metrics: Sequence[str], goals: Sequence[Goal]) -> dict[str, dict[str, float]]:
    """The importance of each parameter for each metric by PED-ANOVA; those of a metric add up to 1."""
    from optuna.importance import get_param_importances

    with _unwarned():
        return {
            metric: {name: round(value, 6) for name, value in shares.items()}
            for index, (metric, goal) in enumerate(zip(metrics, goals, strict=True))
            for shares in [get_param_importances(study, target=_loss(index, goal))]
        }


def draw(
    study: OptunaStudy,
    metrics: Sequence[str],
    goals: Sequence[Goal],
    *,
    spans: Spans,
    title: str,
    folder: Path,
    log: Log,
) -> None:
    """Draw all plots into `folder`; a plot that fails is logged.

    Parameters
    ----------
    spans : mapping
        When each trial held its slot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plots = [*plots_of(metrics, goals), (TIMELINE, TIMELINE, {"spans": spans})]
    with _unwarned():
        for name, error in _draw_pngs(study, plots, folder):
            log(f"warning: {name}.png was not drawn: {error}")
        body = "\n".join(_divs(study, plots, log))
    write_text(str(folder / "report.html"), _page(title, body))


def _draw_pngs(study: OptunaStudy, plots: list[Plot], folder: Path) -> Iterator[tuple[str, Exception]]:
    """Write each plot as PNG; yields the name of each that could not be drawn, and why."""
    import matplotlib as mpl

    mpl.use("Agg")
    import numpy as np
    from matplotlib import pyplot as plt
    from optuna.visualization import matplotlib as drawn

    for name, plot, options in plots:
        path = folder / f"{_safe(name)}.png"
        try:
            axes = (timeline.png if plot == TIMELINE else getattr(drawn, f"plot_{plot}"))(study, **options)
            figure = (axes.flat[0] if isinstance(axes, np.ndarray) else axes).figure
            image = BytesIO()
            figure.savefig(image, format="png", bbox_inches="tight", dpi=110)
            write_bytes(str(path), image.getvalue())
        except Exception as error:
            yield name, error
        finally:
            plt.close("all")


def _divs(study: OptunaStudy, plots: list[Plot], log: Log) -> Iterator[str]:
    from optuna import visualization
    from plotly.io import to_html

    for name, plot, options in plots:
        try:
            make = timeline.figure if plot == TIMELINE else getattr(visualization, f"plot_{plot}")
            figure = make(study, **options)
            yield to_html(figure, include_plotlyjs=False, full_html=False)
        except Exception as error:
            log(f"warning: {name} was not drawn into report.html: {error}")


def _page(title: str, body: str) -> str:
    from plotly.offline import get_plotlyjs

    return PAGE.format(title=html.escape(title), library=get_plotlyjs(), body=body)


def _target(index: int) -> Callable[[Any], float]:
    return lambda trial: float(trial.values[index])


def _loss(index: int, goal: Goal) -> Callable[[Any], float]:
    """PED-ANOVA looks for what makes a value low."""
    return lambda trial: -goal.sign * float(trial.values[index])


@contextmanager
def _unwarned() -> Iterator[None]:
    # Optuna calls its plots experimental, and warns of a target that _loss makes right.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
