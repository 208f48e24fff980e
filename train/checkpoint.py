"""Checkpoints, by orbax: whole or not there, and checked end to end when they are read.

This is orbax's v1 interface, the one its documentation teaches and new work goes into; it still
lives behind an `experimental` name, which is why nothing else in the project imports it.

Orbax writes to a temporary folder and renames it, so that a kill leaves no half checkpoint. What
it does not do is notice a flipped bit in the stored arrays: a digest of the values is saved beside
them, and compared with what comes back.
"""

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

KEPT = 3  # the newest, and two to fall back on

State = TypeVar("State")


class Restored(NamedTuple):
    """A good checkpoint: its step, its state, and the notes saved with it."""

    step: int
    state: Any
    notes: dict[str, Any]


def save(folder: Path, step: int, state: Any, notes: dict[str, Any]) -> None:
    """Write the checkpoint of a step; on any failure nothing of it is left behind.

    Args:
      folder: where the checkpoints of the run are.
      step: the step it belongs to.
      state: a pytree of arrays.
      notes: what else belongs to it; must fit into JSON.
    """
    try:
        with _quiet(), _open(folder) as checkpointer:
            metadata = {"notes": notes, "sha256": _digest(state, notes)}
            checkpointer.save(step, state, custom_metadata=metadata)
    except BaseException:
        remove_unfinished(folder)
        raise


def restore(folder: Path, like: State) -> tuple[Restored | None, list[str]]:
    """The newest good checkpoint, or None, and a complaint about each damaged newer one.

    A damaged one is moved aside, to `STEP.damaged`, so that its step can be written again.

    Args:
      folder: where the checkpoints of the run are.
      like: a pytree with the structure, shapes, dtypes and shardings to restore.
    """
    complaints: list[str] = []
    remove_unfinished(folder)
    steps = sorted((int(p.name) for p in folder.glob("*") if p.name.isdigit()), reverse=True)
    for step in steps:
        try:
            return _restore_step(folder, step, like), complaints
        except Exception as error:  # whatever orbax makes of bytes that are not its own
            complaints.append(f"checkpoint {step} is damaged ({reason(error)})")
            aside = folder / f"{step}.damaged"
            shutil.rmtree(aside, ignore_errors=True)
            (folder / str(step)).replace(aside)
    return None, complaints


def remove_unfinished(folder: Path) -> None:
    """Remove what a kill or a full disk left of checkpoints that were never finished."""
    for path in folder.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(path, ignore_errors=True)


def reason(error: BaseException) -> str:
    """The innermost cause, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = " ".join(str(error).split())
    return line if len(line) <= 100 else f"{line[:100]}..."


def _restore_step(folder: Path, step: int, like: Any) -> Restored:
    with _quiet(), _open(folder) as checkpointer:
        metadata = checkpointer.metadata(step).custom_metadata or {}
        state = checkpointer.load(step, like)
    if "sha256" not in metadata:
        raise ValueError("its digest is missing")
    if metadata["sha256"] != _digest(state, metadata["notes"]):
        raise ValueError("its values differ from those that were saved")
    return Restored(step, state, metadata["notes"])


def _open(folder: Path) -> ocp.training.Checkpointer:
    every_call: Any = ocp.training.save_decision_policies.FixedIntervalPolicy(1)
    newest: Any = ocp.training.preservation_policies.LatestN(KEPT)
    return ocp.training.Checkpointer(
        str(folder.absolute()), save_decision_policy=every_call, preservation_policy=newest
    )


def _digest(state: Any, notes: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(notes, sort_keys=True).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without orbax's log lines: what a person needs to know is said by the caller."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
