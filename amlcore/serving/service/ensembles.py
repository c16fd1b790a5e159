"""The ensembles of trees that treelite may answer for, by the names of their classes in sklearn.ensemble."""

from __future__ import annotations

HISTOGRAMS = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
ENSEMBLES = (
    *HISTOGRAMS,
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "GradientBoostingClassifier",
    "GradientBoostingRegressor",
)
