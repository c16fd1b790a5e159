"""Interruptions that wait for the end of a step."""

from __future__ import annotations

import os
import signal

import pytest

from amlcore.execution.interrupts import uninterrupted


def step(done: list[int], *, interruptions: int) -> None:
    with uninterrupted():
        for _ in range(interruptions):
            os.kill(os.getpid(), signal.SIGINT)
        done.append(interruptions)


def test_an_interruption_waits_for_the_end_of_the_block_and_a_second_one_does_not() -> None:
    done: list[int] = []
    step(done, interruptions=0)
    for interruptions in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            step(done, interruptions=interruptions)

    assert done == [0, 1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_ignored_by_nohup_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with uninterrupted():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
