"""The machine of a measurement."""

import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path


def machine(cores: int, packages: Sequence[str]) -> dict:
    """Describe the machine: processor, cores, versions, date."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    model = next(models, platform.processor())
    return {
        "cpu": model,
        "cores": cores,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "packages": {name: metadata.version(name) for name in packages},
    }


def driver() -> str:
    """The output of `nvidia-smi` for the first GPU, if there is one."""
    if not shutil.which("nvidia-smi"):
        return ""
    query = "--query-gpu=name,driver_version,power.limit,clocks.max.sm"
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return output.stdout.strip().partition("\n")[0]
