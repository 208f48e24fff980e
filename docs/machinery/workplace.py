"""A folder in which the commands of a page work as they do in a clone of the project."""

import os
import shutil
import tempfile
from pathlib import Path

CLONE = Path(__file__).parents[2]


def enter() -> Path:
    """Change to a new folder that holds the configs only; print progress as plain lines."""
    folder = Path(tempfile.mkdtemp())
    (folder / "configs").symlink_to(CLONE / "configs")
    os.chdir(folder)
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):  # which kernels set, as if this were a terminal
        os.environ.pop(name, None)
    return folder


def leave(folder: Path) -> None:
    """Change back, and remove the folder."""
    os.chdir(CLONE)
    shutil.rmtree(folder)
