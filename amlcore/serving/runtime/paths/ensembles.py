"""The ensembles of trees that treelite supports, by the names of their classes in sklearn.ensemble."""

from __future__ import annotations

HISTOGRAMS = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
FORESTS = ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor")
ENSEMBLES = (*HISTOGRAMS, *FORESTS, "GradientBoostingClassifier", "GradientBoostingRegressor")
