"""The folder of a run: whose it is, one process at a time, and whether it is finished."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from train.config.load import differences, read_config, to_toml
from train.config.settings import Config
from train.engine.processes import first_does
from train.errors import InputError
from train.output.files import write_text
from train.tasks import Data, Task


@contextlib.contextmanager
def open_folder(out: Path, config: Config) -> Iterator[None]:
    """Hold the folder of a run: a new one, or one that holds this run already.

    The first process of a run holds it for all.

    Raises:
      InputError: it cannot be written, is in use, or holds another run or something else.
    """
    with contextlib.ExitStack() as held:
        first_does(lambda: held.enter_context(_hold(out, config)))
        yield


@contextlib.contextmanager
def _hold(out: Path, config: Config) -> Iterator[None]:
    try:
        if out.exists() and not out.is_dir():
            raise InputError(f"--out {out} is a file; choose another")
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"cannot write to --out {out}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process
        _check_folder(out, config)
        yield
    except BlockingIOError:
        raise InputError(f"--out {out} is in use by another process") from None
    finally:
        os.close(descriptor)


def finished_step(out: Path, steps: int) -> int | None:
    """The step at which a run of so many steps ended, in these or early; None before its end."""
    result = _result(out)
    return result.get("steps") if result.get("of_steps") == steps else None


def measured_data(out: Path) -> str | None:
    """The SHA-256 of the data that a finished run was measured on."""
    return _result(out).get("data_sha256")


def test_data(out: Path, task: Task, otherwise: str) -> Data:
    """The data of a finished run, if they are still those that it was measured on.

    Raises:
      InputError: they are not; `otherwise` is what to do.
    """
    data = task.load(read_config(out / "config.toml"))
    if data.sha256 != measured_data(out):
        raise InputError(
            f"{data.source} does not hold the data of the run in {out} any more; {otherwise}"
        )
    return data


def _result(out: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((out / "result.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _check_folder(out: Path, config: Config) -> None:
    kept = out / "config.toml"
    if kept.exists():
        changed = differences(read_config(kept), config)
        if changed:
            raise InputError(
                f"--out {out} holds a run with another config: {', '.join(changed)}; "
                "choose another --out or the same config"
            )
    elif any(path.name[0] != "." for path in out.iterdir()):
        raise InputError(f"--out {out} exists and holds no run; choose another")
    else:
        try:
            write_text(kept, to_toml(config))
        except OSError as error:
            raise InputError(f"cannot write to --out {out}: {error.strerror}") from None
