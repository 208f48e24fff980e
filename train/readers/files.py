"""What all readers share: bytes, text and arrays of a file, and files inside of packages."""

import importlib.util
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import InputError


def read_bytes(key: str, path: str) -> bytes:
    """The content of a file that the setting `key` names."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {key} {path}: {error.strerror}") from None
    except ValueError as error:  # a path with a character of code 0
        raise InputError(f"cannot read {key} {path!r}: {error}") from None


def text_of(path: str, data: bytes) -> str:
    """The content of a text file."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}"
        ) from None


def arrays_of(path: str, data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; pickled ones, which can run code, are refused."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return dict(file)
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no .npz file of plain arrays: {error}") from None


def array_of(
    path: str, arrays: dict[str, np.ndarray], name: str, axes: tuple[int, ...]
) -> np.ndarray:
    """One of them, of numbers, with so many axes."""
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
    """Their names, for an error."""
    return ", ".join(sorted(name for name in arrays if not name.startswith("__"))) or "none"


def inside_package(package: str, place: str, task: str) -> Path:
    """A file that a package holds, found without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise InputError(
            f"the data of this config comes with the package {package}: pip install '.[data]' in "
            f"the clone, or name a file of your own for {task}: --data.path FILE"
        )
    return Path(found.origin).parent / place
