"""The machine that figures belong to."""

import platform
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path


def machine(cores: int, packages: Sequence[str]) -> dict:
    """What the figures belong to."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.processor(),
    )  # fmt: skip
    return {
        "cpu": model,
        "cores": cores,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "packages": {name: metadata.version(name) for name in packages},
    }
