"""Sweeps: a search space, the sampler that chooses its points, and the loop that tries them."""

from amlcore.sweep.dimension import Dimension, Kind
from amlcore.sweep.early_termination import EarlyTermination
from amlcore.sweep.goal import Goal
from amlcore.sweep.space import Space, Values
from amlcore.sweep.sweep import Sweep

__all__ = ["Dimension", "EarlyTermination", "Goal", "Kind", "Space", "Sweep", "Values"]
