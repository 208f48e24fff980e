"""Atomic writes: to a temporary file, which is then renamed."""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Write a file atomically: a kill or a full disk leaves the old file unchanged."""
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}.{zlib.crc32(path.name.encode()):x}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):  # name the requested file, not the temporary one
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise
