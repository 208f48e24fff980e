"""Text files that are whole or not there."""

from pathlib import Path

from jlstm.interop.files import write_bytes


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a kill or a full disk leaves the old file as it was."""
    write_bytes(path, text.encode())
