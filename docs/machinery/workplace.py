"""A folder for the commands of a page, where they read as they do in a clone of the project."""

import os
import shutil
import tempfile
from pathlib import Path

CLONE = Path(__file__).parents[2]


def enter() -> Path:
    """Go to an empty folder that has the configs, and show progress as plain lines."""
    folder = Path(tempfile.mkdtemp())
    (folder / "configs").symlink_to(CLONE / "configs")
    os.chdir(folder)
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):  # which kernels set, as if this were a terminal
        os.environ.pop(name, None)
    return folder


def leave(folder: Path) -> None:
    """Go back, and remove what the page has written."""
    os.chdir(CLONE)
    shutil.rmtree(folder)
