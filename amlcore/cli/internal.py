"""The hidden verbs, with which amlcore starts its own background processes."""

from __future__ import annotations

from pathlib import Path


def drive(folder: str) -> int:
    """Drive a submitted run or sweep: the driver of a detached one."""
    from amlcore.app.drive import drive
    from amlcore.execution.interrupts import catch_signals
    from amlcore.terminal.output import print_line

    catch_signals()
    return drive(Path(folder), log=print_line)


def allocation(folder: str) -> int:
    """Start workers in an allocation: the body of a Slurm job."""
    from amlcore.compute.slurm.allocation import Allocation

    Allocation.load(folder)()
    return 0


def plot(folder: str) -> int:
    """Draw the plots of a sweep in a separate process."""
    from amlcore.execution import sweep_report

    sweep_report.draw(Path(folder))
    return 0


VERBS = {"_drive": drive, "_allocation": allocation, "_plot": plot}
