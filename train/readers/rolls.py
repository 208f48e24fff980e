"""Piano rolls, from .mat and .npz files."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import InputError
from train.readers.files import arrays_of, first_line, names_of, natural, read_bytes

KEYS = 88
LOWEST = 21  # MIDI number of the lowest key
PARTS = ("train", "valid", "test")
Pieces = list[tuple[str, Any]]  # the name of each array in the file, and the array

UNPICKLE = (
    "is a pickle, which can run code and is not read; if you trust it, make an .npz file of its "
    "notes: import pathlib, pickle, numpy as np; parts = pickle.loads(pathlib.Path({path!r})"
    ".read_bytes(), encoding='latin1'); np.savez('rolls.npz', **{{f'{{part}}_{{k}}': "
    "np.stack([np.isin(np.arange(21, 109), notes) for notes in map(list, piece)]) "
    "for part in parts for k, piece in enumerate(parts[part])}})"
)
BY_NAME = (
    "save each piece under a name of its own: np.savez(FILE, **{f'train_{k}': piece for k, piece "
    "in enumerate(pieces)}), and likewise valid_ and test_"
)


def read_rolls(
    path: str | None, parts: tuple[str, ...] = PARTS
) -> tuple[dict[str, list[np.ndarray]], str]:
    """Read piano rolls `(time, 88)` by split; and the file's SHA-256.

    A .mat file of Boulanger-Lewandowski et al. (2012), with `traindata`, `validdata` and
    `testdata`; or an .npz file of arrays called `train_...`, `valid_...` and `test_...`. Rolls
    `(88, time)` are transposed, and an array `(piece, time, 88)` holds several.

    Args:
      path: the file.
      parts: the splits to read, each with at least one piece.

    Raises:
      InputError: a file that cannot be read, a split without pieces, an invalid piece.
    """
    if path is None:
        raise InputError("name a file of piano rolls: --data.path JSB_Chorales.mat")
    suffix = Path(path).suffix.lower()
    if suffix in (".pickle", ".pkl"):
        raise InputError(f"{path} {UNPICKLE.format(path=path)}")
    if suffix not in (".mat", ".npz"):
        raise InputError(f"data.path {path} must end in .mat or .npz")
    data = read_bytes("data.path", path)
    splits = (_from_npz if suffix == ".npz" else _from_mat)(path, data, parts)
    rolls = {}
    for part, pieces in splits.items():
        if not pieces:
            raise InputError(f"{path}: the {part} split has no piece")
        rolls[part] = [
            _check(f"{path}: piece {k + 1} of {part}", name, array)
            for k, (name, array) in enumerate(pieces)
        ]
    return _time_first(path, rolls), hashlib.sha256(data).hexdigest()


def _check(where: str, name: str, array: Any) -> np.ndarray:
    """The piece as 0 and 1, with its axes unchanged."""
    array = (
        array.toarray() if hasattr(array, "toarray") else np.asarray(array)
    )  # sparse matrices of scipy
    if array.ndim != 2 or KEYS not in array.shape or array.dtype.kind not in "fiub":
        held = "another cell or a struct" if array.dtype.kind in "OV" else f"{array.dtype}"
        raise InputError(
            f"{where} must be (time, {KEYS}) of 0 and 1, got an array {array.shape} of {held} "
            f"({name})"
        )
    odd = ~np.isin(array, (0, 1))
    if odd.any():
        raise InputError(
            f"{where} must be (time, {KEYS}) of 0 and 1, got {array[odd][0]} ({name}); where a "
            "number above 0 is a key that sounds, save roll > 0"
        )
    return array.astype(np.float32)


def _time_first(path: str, rolls: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """All pieces as `(time, 88)`: a file has one orientation, which decides about (88, 88)."""
    flat = [(part, k, roll) for part, pieces in rolls.items() for k, roll in enumerate(pieces)]
    upright = [(part, k) for part, k, roll in flat if roll.shape[0] != KEYS]
    transposed = [(part, k) for part, k, roll in flat if roll.shape[1] != KEYS]
    if upright and transposed:
        (a, j), (b, k) = upright[0], transposed[0]
        raise InputError(
            f"{path}: piece {j + 1} of {a} is (time, {KEYS}), and piece {k + 1} of {b} is "
            f"({KEYS}, time); save all of them as (time, {KEYS})"
        )
    if transposed:
        rolls = {part: [roll.T for roll in pieces] for part, pieces in rolls.items()}
    for part, pieces in rolls.items():
        for k, roll in enumerate(pieces):
            if len(roll) < 2:
                raise InputError(f"{path}: piece {k + 1} of {part} has {len(roll)} steps, 2 needed")
    return rolls


def _pieces(path: str, name: str, array: Any) -> Pieces:
    """The pieces of an array: a single piece, a stack of equally long ones, or MATLAB's cells."""
    if hasattr(array, "toarray"):
        return [(name, array)]
    if array.dtype == object:
        return [(f"{name}{{{k + 1}}}", cell) for k, cell in enumerate(array.ravel(order="F"))]
    if array.ndim != 3:
        return [(name, array)]
    if array.shape[2] != KEYS:
        raise InputError(
            f"{path}: {name} is an array {array.shape}; several pieces in one array must be "
            f"(piece, time, {KEYS})"
        )
    return [(f"{name}[{k}]", piece) for k, piece in enumerate(array)]


def _from_npz(path: str, data: bytes, parts: tuple[str, ...]) -> dict[str, Pieces]:
    arrays = arrays_of(path, data, BY_NAME)
    odd = [name for name in arrays if not name.startswith(PARTS)]
    if odd:
        raise InputError(
            f"{path} has an array {odd[0]!r}, and names must begin with {', '.join(PARTS)}"
        )
    pieces: dict[str, Pieces] = {part: [] for part in parts}
    for part in parts:
        for name in sorted((n for n in arrays if n.startswith(part)), key=natural):
            pieces[part] += _pieces(path, name, arrays[name])
    return pieces


def _from_mat(path: str, data: bytes, parts: tuple[str, ...]) -> dict[str, Pieces]:
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError:
        cure = "pip install '.[data]' in the clone, or scipy"
        raise InputError(f"{path} needs scipy: {cure}") from None
    try:
        arrays = loadmat(io.BytesIO(data))
    except NotImplementedError:
        raise InputError(
            f"{path} is a .mat file of version 7.3, which is HDF5; save it in MATLAB by "
            "save(FILE, 'traindata', 'validdata', 'testdata', '-v7')"
        ) from None
    except Exception as error:  # scipy raises many types
        raise InputError(f"{path} is not a .mat file: {first_line(error)}") from None
    missing = [f"{part}data" for part in parts if f"{part}data" not in arrays]
    if missing:
        raise InputError(f"{path} has no {missing[0]}; it has {names_of(arrays)}")
    pieces = {f"{part}data": arrays[f"{part}data"] for part in parts}
    return {
        name.removesuffix("data"): [] if array.shape == (0, 0) else _pieces(path, name, array)
        for name, array in pieces.items()  # 0 x 0 is MATLAB's []
    }
