"""Files that are whole or not there: written under a temporary name, then renamed."""

import os
from pathlib import Path


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a kill or a full disk leaves the old one as it was."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())
