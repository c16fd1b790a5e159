"""The shipped configuration."""

from __future__ import annotations

from pathlib import Path

import amlcore

SHIPPED = Path(amlcore.__file__).parent / "conf"
