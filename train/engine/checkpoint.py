"""Checkpoints: arrays by orbax, written atomically, and verified byte by byte before loading.

This is orbax's v1 interface, the one that its documentation recommends; it still has an
`experimental` name, so nothing else in the project imports it. Of its two layers this uses the
lower one, `save` and `load` of a folder: the upper one finds and removes checkpoints by itself, and
loads arrays with a flipped bit without an error.

A checkpoint is a folder named after its step. It is written under another name and renamed when it
is complete. It holds `state/`, written by orbax, and `notes.json`: further values of the state, and
the SHA-256 of every file.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from orbax.checkpoint import v1 as ocp

from train.engine.processes import is_first, on_first_process

KEPT = 3  # the newest, and two in case it is damaged
UNFINISHED = "unfinished-"


class Checkpoint(NamedTuple):
    """A verified checkpoint."""

    path: Path
    step: int
    notes: dict[str, Any]


def save(folder: Path, step: int, state: Any, notes: dict[str, Any]) -> None:
    """Write the checkpoint of a step, and remove old ones; a failure leaves no part of it.

    Every process of a run writes its parts of the arrays, and the first one seals the checkpoint.

    Args:
      folder: the folder of the run's checkpoints.
      step: the step of the state.
      state: a pytree of arrays, none of them empty, on any devices.
      notes: further values of the state; must fit into JSON.
    """
    part = folder / f"{UNFINISHED}{step}"
    with _quiet():
        try:
            ocp.save(str((part / "state").absolute()), state)
            on_first_process(lambda: _seal(part, folder / str(step), notes))
        except BaseException:
            if is_first():
                _remove(part)
            raise


def _seal(part: Path, path: Path, notes: dict[str, Any]) -> None:
    """Write the notes and the digests, rename the checkpoint, and remove old ones."""
    content = {"notes": notes, "sha256": _digests(part, notes)}
    with open(part / "notes.json", "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    for old in steps(path.parent)[KEPT:]:
        shutil.rmtree(path.parent / str(old))


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest intact checkpoint, or None, and a complaint about each damaged newer one.

    A damaged checkpoint is moved to `STEP.damaged`, so that its step can be written again.
    Unfinished checkpoints of a killed run are removed.
    """
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    complaints: list[str] = []
    for step in steps(folder):
        path = folder / str(step)
        try:
            content = json.loads((path / "notes.json").read_text(encoding="utf-8"))
            expected, notes = dict(content["sha256"]), content["notes"]
        except (OSError, ValueError, KeyError, TypeError):
            fault = "notes.json cannot be read"
        else:
            digests = _digests(path, notes)
            if digests == expected:
                return Checkpoint(path, step, notes), complaints
            names = [n for n in digests | expected if digests.get(n) != expected.get(n)]
            fault = ", ".join(names)
        complaints.append(f"checkpoint {step} is damaged ({fault})")
        aside = folder / f"{step}.damaged"
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
    return None, complaints


def load(checkpoint: Checkpoint, like: Any) -> Any:
    """The state of a checkpoint, in the structure, shapes, dtypes and shardings of `like`.

    The shardings may differ from those of the run that wrote it: any number of devices and
    processes can load it.
    """
    with _quiet():
        return ocp.load(str((checkpoint.path / "state").absolute()), like)


def steps(folder: Path) -> list[int]:
    """The steps with a checkpoint, newest first."""
    return sorted((int(p.name) for p in folder.glob("*") if p.name.isdigit()), reverse=True)


def reason(error: BaseException) -> str:
    """The innermost cause of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())


def _remove(part: Path) -> None:
    """Remove the files of a failed save, including those that orbax's threads still write."""
    for _ in range(10):
        shutil.rmtree(part, ignore_errors=True)
        time.sleep(0.1)
        if not part.exists():
            break


def _digests(path: Path, notes: dict[str, Any]) -> dict[str, str]:
    """The SHA-256 of the notes and of every other file of a checkpoint, by name."""
    files = sorted(p for p in path.rglob("*") if p.is_file() and p.name != "notes.json")
    text = json.dumps(notes, sort_keys=True)
    digests = {"notes.json": hashlib.sha256(text.encode()).hexdigest()}
    for file in files:
        with open(file, "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256")
        digests[file.relative_to(path).as_posix()] = digest.hexdigest()
    return digests


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress orbax's log lines: the caller reports what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
