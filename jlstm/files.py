"""Files that are whole or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Write a file so that a kill or a full disk leaves the old one as it was."""
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
        if isinstance(error, OSError):  # of the file that was asked for
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise
