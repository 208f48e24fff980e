"""Checkpoints: arrays by orbax, made whole or not at all, and checked byte by byte when found.

This is orbax's v1 interface, the one its documentation teaches and new work goes into; it still
lives behind an `experimental` name, which is why nothing else in the project imports it. Of its
two layers this uses the lower one, `save` and `load` of a folder: the upper one finds and removes
checkpoints by itself, and hands back arrays with a flipped bit as if nothing had happened.

A checkpoint is a folder named by its step. It is written under another name and renamed when it is
complete, and holds `state/`, orbax's, and `notes.json`: what else belongs to the state, and the
SHA-256 of every file.
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

from train.engine.processes import first_does, is_first

KEPT = 3  # the newest, and two to fall back on
UNFINISHED = "unfinished-"


class Checkpoint(NamedTuple):
    """A checkpoint whose bytes are those that were written."""

    path: Path
    step: int
    notes: dict[str, Any]


def save(folder: Path, step: int, state: Any, notes: dict[str, Any]) -> None:
    """Write the checkpoint of a step and remove old ones; a failure leaves nothing of it.

    Every process of a run writes its parts of the arrays, and the first one seals them.

    Args:
      folder: where the checkpoints of the run are.
      step: the step it belongs to.
      state: a pytree of arrays, none of them empty, on any devices.
      notes: what else belongs to it; must fit into JSON.
    """
    part = folder / f"{UNFINISHED}{step}"
    with _quiet():
        try:
            ocp.save(str((part / "state").absolute()), state)
            first_does(lambda: _seal(part, folder / str(step), notes))
        except BaseException:
            if is_first():
                _remove(part)
            raise


def _seal(part: Path, path: Path, notes: dict[str, Any]) -> None:
    """Write the notes and the digests, give the checkpoint its name, and remove old ones."""
    content = {"notes": notes, "sha256": _digests(part, notes)}
    with open(part / "notes.json", "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    for old in steps(path.parent)[KEPT:]:
        shutil.rmtree(path.parent / str(old))


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest good checkpoint, or None, and a complaint about each damaged newer one.

    A damaged one is moved aside, to `STEP.damaged`, so that its step can be written again. What a
    kill left of one that was being written is removed.
    """
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    complaints: list[str] = []
    for step in steps(folder):
        path = folder / str(step)
        try:
            content = json.loads((path / "notes.json").read_text(encoding="utf-8"))
            wanted, notes = dict(content["sha256"]), content["notes"]
        except (OSError, ValueError, KeyError, TypeError):
            fault = "notes.json cannot be read"
        else:
            found = _digests(path, notes)
            if found == wanted:
                return Checkpoint(path, step, notes), complaints
            names = [name for name in found | wanted if found.get(name) != wanted.get(name)]
            fault = ", ".join(names)
        complaints.append(f"checkpoint {step} is damaged ({fault})")
        aside = folder / f"{step}.damaged"
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
    return None, complaints


def load(checkpoint: Checkpoint, like: Any) -> Any:
    """The state of a checkpoint, in the structure, shapes, dtypes and shardings of `like`.

    These are the shardings of now: any number of devices and processes reads what others wrote.
    """
    with _quiet():
        return ocp.load(str((checkpoint.path / "state").absolute()), like)


def steps(folder: Path) -> list[int]:
    """Steps that have a checkpoint, newest first."""
    return sorted((int(p.name) for p in folder.glob("*") if p.name.isdigit()), reverse=True)


def reason(error: BaseException) -> str:
    """The innermost cause of an error of `save`, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())


def _remove(part: Path) -> None:
    """Remove what was written of a failed save, also what orbax's other threads still write."""
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
    """Without orbax's log lines: what a person needs to know is said by the caller."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
