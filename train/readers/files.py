"""Shared functions of the readers: bytes, text and arrays of a file, and files in packages."""

import importlib.util
import io
import re
import stat
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import InputError

# The first bytes of files that are often mistaken for text.
NO_TEXT = {
    b"\x1f\x8b": "compressed by gzip: unpack it first, by gunzip",
    b"PK\x03\x04": "a zip archive, as .docx and .xlsx are: save it as plain text, in UTF-8",
    b"%PDF-": "a PDF: save its text as plain text, in UTF-8",
    b"\xff\xfe\0\0": "not UTF-8 text but UTF-32: iconv -f UTF-32 -t UTF-8 FILE > NEW",
    b"\xff\xfe": "not UTF-8 text but UTF-16: iconv -f UTF-16 -t UTF-8 FILE > NEW",
    b"\xfe\xff": "not UTF-8 text but UTF-16: iconv -f UTF-16 -t UTF-8 FILE > NEW",
}
PLAIN = "save it as plain numbers or text: .astype(float) or .astype(str)"


def read_bytes(key: str, path: str) -> bytes:
    """Read a file that the setting `key` names."""
    try:
        kind = Path(path).stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # reading a pipe may block forever
            raise InputError(
                f"cannot read {key} {path}: it is a pipe or a device; write its content to a file"
            )
        return Path(path).read_bytes()
    except OSError as error:
        cure = "; name a file" if isinstance(error, IsADirectoryError) else ""
        raise InputError(f"cannot read {key} {path}: {error.strerror}{cure}") from None
    except ValueError as error:  # a path with a character of code 0
        raise InputError(f"cannot read {key} {path!r}: {error}") from None


def text_of(path: str, data: bytes) -> str:
    """Decode a text file."""
    for start, what in NO_TEXT.items():
        if data.startswith(start):
            raise InputError(f"{path} is {what}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}; convert "
            "it, for instance from Latin-1: iconv -f LATIN1 -t UTF-8 FILE > NEW"
        ) from None
    if "\0" in text:
        raise InputError(
            f"{path} is not UTF-8 text: byte {data.index(0)} is 0x00, as in UTF-16 or a binary "
            "file; convert UTF-16: iconv -f UTF-16LE -t UTF-8 FILE > NEW"
        )
    return text


def arrays_of(path: str, data: bytes, cure: str = PLAIN) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; pickled arrays, which can run code, are refused.

    Args:
      path: the path, for errors.
      data: the content of the file.
      cure: the way to save an array of Python objects, for errors.
    """
    arrays = {}
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            for name in file.files:
                arrays[name] = _plain_array(path, file, name, cure)
    except InputError:
        raise
    except Exception as error:  # numpy, zipfile and zlib raise many types
        raise InputError(
            f"{path} is not an .npz file of plain arrays: {first_line(error)}; np.savez writes one"
        ) from None
    return arrays


def _plain_array(path: str, file: Any, name: str, cure: str) -> np.ndarray:
    try:
        array = file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise InputError(
            f"{path}: {name} is an array of Python objects, which are not read because they can "
            f"run code; {cure}"
        ) from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} is not an .npz file of plain arrays: {name} is not an array")
    return array


def first_line(error: Exception) -> str:
    """The first line of an error of another library."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def array_of(
    path: str, arrays: dict[str, np.ndarray], name: str, axes: tuple[int, ...]
) -> np.ndarray:
    """An array of numbers by name, with one of these numbers of axes."""
    if name not in arrays:
        raise InputError(f"{path} has no array {name!r}; it has {names_of(arrays)}")
    array = arrays[name]
    if array.ndim not in axes or array.dtype.kind not in "fiub":
        raise InputError(
            f"{path}: {name} must be numbers with {' or '.join(map(str, axes))} axes, got "
            f"{array.dtype} {array.shape}"
        )
    return array


def names_of(arrays: Any) -> str:
    """The names of the arrays, for an error."""
    return ", ".join(sorted(name for name in arrays if not name.startswith("__"))) or "none"


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names by their numbers: `test_2` comes before `test_10`."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def inside_package(package: str, place: str, task: str) -> Path:
    """A file inside a package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(
            f"the data of this config comes with the package {package}: pip install '.[data]' in "
            f"the clone, or name a file of your own for {task}: --data.path FILE"
        )
    return Path(spec.origin).parent / place
