"""The versions of MLflow that are tested, and the packages that stand beside them."""

import os

VERSIONS = os.environ.get("AMLCORE_MLFLOW_VERSIONS", "3.17.2").split(",")
"""The newest one that was tried; AMLCORE_MLFLOW_VERSIONS=2.9.2,2.22.5,3.1.4,3.17.2 names others."""

_BESIDE = "lightgbm==4.7.0\nxgboost-cpu==3.2.0\nmatplotlib==3.11.0\nsetuptools<81\n"  # of setuptools 2.9 needs a module


def requirements(version: str) -> str:
    """A requirements file with this version of MLflow."""
    return f"mlflow=={version}\n{_BESIDE}"
