"""The hidden verbs, by which amlcore starts processes of its own."""

from __future__ import annotations

from pathlib import Path


def drive(folder: str) -> int:
    """Drive a run or a sweep that was submitted; a detached one's driver is started as this."""
    from amlcore.app.drive import drive
    from amlcore.execution.interrupts import catch_signals
    from amlcore.terminal.output import print_line

    catch_signals()
    return drive(Path(folder), log=print_line)


def allocation(folder: str) -> int:
    """Start workers in an allocation; a Slurm job is started as this."""
    from amlcore.compute.slurm.allocation import Allocation

    Allocation.load(folder)()
    return 0


def plot(folder: str) -> int:
    """Draw the plots of a sweep, which leaves them to a process of its own."""
    from amlcore.execution import sweep_report

    sweep_report.draw(Path(folder))
    return 0


VERBS = {"_drive": drive, "_allocation": allocation, "_plot": plot}
