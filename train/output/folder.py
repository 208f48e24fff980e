"""The folder of a run: its owner, one process at a time, and whether the run is finished."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from train.config.load import differences, read_config, to_toml
from train.config.settings import Config
from train.engine.processes import on_first_process
from train.errors import InputError
from train.output.files import write_text
from train.tasks import Data, Task


@contextlib.contextmanager
def open_folder(out: Path, config: Config) -> Iterator[None]:
    """Lock the folder of a run: a new folder, or one that already holds this run.

    The first process of a run locks it for all.

    Raises:
      InputError: the folder cannot be written, is in use, or holds another run or other files.
    """
    with contextlib.ExitStack() as stack:
        on_first_process(lambda: stack.enter_context(_lock(out, config)))
        yield


@contextlib.contextmanager
def _lock(out: Path, config: Config) -> Iterator[None]:
    try:
        if out.exists() and not out.is_dir():
            raise InputError(f"--out {out} is a file; choose another")
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"cannot write to --out {out}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the process ends
        _check_folder(out, config)
        yield
    except BlockingIOError:
        raise InputError(f"--out {out} is in use by another process") from None
    finally:
        os.close(descriptor)


def finished_step(out: Path, steps: int) -> int | None:
    """The step at which a run of `steps` steps ended, perhaps early; None if it has not ended."""
    result = _result(out)
    return result.get("steps") if result.get("of_steps") == steps else None


def measured_data(out: Path) -> str | None:
    """The SHA-256 of the data of a finished run."""
    return _result(out).get("data_sha256")


def test_data(out: Path, task: Task, cure: str) -> Data:
    """The data of a finished run, if they are unchanged.

    Raises:
      InputError: the data have changed; `cure` tells the user what to do.
    """
    data = task.load(read_config(out / "config.toml"))
    if data.sha256 != measured_data(out):
        raise InputError(f"{data.source} no longer holds the data of the run in {out}; {cure}")
    return data


def _result(out: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((out / "result.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _check_folder(out: Path, config: Config) -> None:
    path = out / "config.toml"
    if path.exists():
        changed = differences(read_config(path), config)
        if changed:
            raise InputError(
                f"--out {out} holds a run with another config: {', '.join(changed)}; "
                "choose another --out or the same config"
            )
    elif any(file.name[0] != "." for file in out.iterdir()):
        raise InputError(f"--out {out} exists and holds no run; choose another")
    else:
        try:
            write_text(path, to_toml(config))
        except OSError as error:
            raise InputError(f"cannot write to --out {out}: {error.strerror}") from None
