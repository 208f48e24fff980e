"""Piano rolls, from .mat and .npz files."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np

from train.errors import InputError
from train.readers.files import arrays_of, names_of, read_bytes


def read_rolls(path: str | None) -> tuple[dict[str, list[np.ndarray]], str]:
    """Piano rolls `(time, 88)` by split, and the file's SHA-256.

    A .mat file of Boulanger-Lewandowski et al. (2012), with `traindata`, `validdata` and
    `testdata`; or an .npz file of arrays called `train_...`, `valid_...` and `test_...`.
    """
    if path is None:
        raise InputError("name a file of piano rolls: --data.path JSB_Chorales.mat")
    data = read_bytes("data.path", path)
    if Path(path).suffix.lower() == ".npz":
        arrays = arrays_of(path, data)
        pieces = {
            part: [arrays[name] for name in sorted(arrays) if name.startswith(part)]
            for part in ("train", "valid", "test")
        }
    else:
        pieces = _from_mat(path, data)
    for part, rolls in pieces.items():
        for k, roll in enumerate(rolls):
            if roll.ndim != 2 or roll.shape[1] != 88 or not np.isin(roll, (0, 1)).all():
                raise InputError(
                    f"{path}: piece {k + 1} of {part} must be (time, 88) of 0 and 1, got an array "
                    f"{roll.shape}"
                )
            if len(roll) < 2:
                raise InputError(f"{path}: piece {k + 1} of {part} has {len(roll)} steps, 2 needed")
    found = {part: [r.astype(np.float32) for r in rolls] for part, rolls in pieces.items()}
    return found, hashlib.sha256(data).hexdigest()


def _from_mat(path: str, data: bytes) -> dict[str, list[np.ndarray]]:
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError:
        cure = "pip install '.[data]' in the clone, or scipy"
        raise InputError(f"{path} needs scipy: {cure}") from None
    try:
        arrays = loadmat(io.BytesIO(data))
    except Exception as error:  # scipy raises what it meets
        raise InputError(f"{path} is no .mat file: {error}") from None
    missing = [n for n in ("traindata", "validdata", "testdata") if n not in arrays]
    if missing:
        raise InputError(f"{path} has no {missing[0]}; it has {names_of(arrays)}")
    return {part: list(arrays[f"{part}data"][0]) for part in ("train", "valid", "test")}
