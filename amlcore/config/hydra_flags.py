"""Hydra's own flags, such as --cfg and --info: Hydra itself answers them, by our loader."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import hydra
import hydra._internal.hydra
from omegaconf import DictConfig

from amlcore.config.composition import add_implied_choices
from amlcore.config.files.key_locations import SHIPPED
from amlcore.config.files.loader import Loader
from amlcore.config.session import explaining_errors
from amlcore.config.versions import VERSION_BASE


def answer_hydra_flag(overrides: list[str], *, root: Path, flags: Sequence[str], config_name: str = "config") -> None:
    """Let Hydra answer one of its own flags, such as --cfg, --info or --help, on stdout."""
    output = io.StringIO()  # Hydra's own printing fails when the reader of a pipe goes away
    try:
        with explaining_errors(root, overrides, config_name=config_name), redirect_stdout(output):
            overrides = add_implied_choices(overrides, root=root, config_name=config_name)
            _hydra_main([f"--config-name={config_name}", *flags, *overrides])
    finally:  # Hydra may end with SystemExit
        print(output.getvalue(), end="")


def _hydra_main(arguments: list[str]) -> None:
    # Hydra reads sys.argv and prints errors itself unless told otherwise; it has no argument for a loader.
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    namespace = vars(hydra._internal.hydra)
    hydra_loader = namespace["ConfigLoaderImpl"]
    namespace["ConfigLoaderImpl"] = Loader
    sys.argv = ["aml", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(config_path=str(SHIPPED), config_name="config", **VERSION_BASE)(_do_nothing)()
    finally:
        sys.argv = argv
        namespace["ConfigLoaderImpl"] = hydra_loader
        del os.environ["HYDRA_FULL_ERROR"]
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _do_nothing(_: DictConfig) -> None:
    """The task function of a Hydra program that only answers flags."""
