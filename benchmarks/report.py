"""The results as tables and a picture."""

from pathlib import Path


def write_report(path: Path) -> None:
    """Later."""
