"""The processes of a run: how they find each other, what one does for all, how they are ended.

On one host a run is one process, and there is nobody to find or to tell. On several, the same
command is started on each. They see the run's folder on a disk that they share; the first one alone
writes figures and pictures there, while all of them write their parts of a checkpoint.
"""

import contextlib
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import numpy as np

from train.config.settings import Distributed
from train.errors import InputError, RunError, Terminated

Value = TypeVar("Value")

SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
KUBERNETES = ("KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX")  # of a Job that is indexed
LOST = 30  # seconds without a sign of life after which a process is lost, and the others end


def started_by_cluster() -> bool:
    """Whether SLURM (`srun`) or an indexed Job of Kubernetes started this as one of several."""
    slurm = all(name in os.environ for name in SLURM) and int(os.environ["SLURM_NTASKS"]) > 1
    return slurm or all(name in os.environ for name in KUBERNETES)


def join(flags: Distributed) -> None:
    """Find the other processes of the run, if there are any; before JAX starts.

    Raises:
      InputError: flags that do not fit together, or processes that are not found.
    """
    given = {name: value for name, value in vars(flags).items() if value is not None}
    given.pop("timeout")
    if not given and not started_by_cluster():
        return
    if given and len(given) < 3:
        lacking = sorted({"coordinator", "processes", "process"} - set(given))
        raise InputError(
            f"--distributed.{lacking[0]} is needed too, beside --distributed.{min(given)}"
        )
    if flags.process is not None and flags.process >= (flags.processes or 0):
        raise InputError(
            f"--distributed.process counts from 0 and must be below --distributed.processes "
            f"{flags.processes}, got {flags.process}"
        )
    if flags.coordinator is not None:
        _reach(flags)
    try:
        jax.distributed.initialize(
            flags.coordinator, flags.processes, flags.process,
            initialization_timeout=flags.timeout, heartbeat_timeout_seconds=LOST,
        )  # fmt: skip
    except (ValueError, RuntimeError) as error:
        raise InputError(f"cannot join the other processes: {str(error).splitlines()[0]}") from None


def _reach(flags: Distributed) -> None:
    """Wait until the first process can be reached: JAX would abort the program if it cannot."""
    host, _, port = str(flags.coordinator).rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"--distributed.coordinator must be HOST:PORT, got {flags.coordinator!r}")
    if flags.process == 0:
        return
    deadline = time.monotonic() + flags.timeout
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=flags.timeout).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise InputError(
                    f"the first process cannot be reached at --distributed.coordinator "
                    f"{flags.coordinator} in {flags.timeout} s: {error.strerror or error}"
                ) from None
        time.sleep(0.2)


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def leave(status: int) -> None:
    """End one of several processes after an error: JAX would wait for those that are gone."""
    if jax.process_count() == 1:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    if is_first():  # without it JAX aborts the others: let them say what they have to say
        time.sleep(1)
    os._exit(status)


def first_does(function: Callable[[], Value]) -> Value:
    """What a function gives in the first process, in all of them, or the error it raises there."""
    if jax.process_count() == 1:
        return function()
    from jax.experimental.multihost_utils import broadcast_one_to_all

    value = error = None
    if is_first():
        try:
            value = function()
        except (InputError, RunError, Terminated, OSError) as raised:
            error = raised
    sent = np.frombuffer(pickle.dumps((value, error)), np.uint8)
    size = int(broadcast_one_to_all(np.int32(sent.size)))
    padded = np.zeros(size, np.uint8)
    padded[: min(size, sent.size)] = sent[:size]
    value, error = pickle.loads(np.asarray(broadcast_one_to_all(padded), np.uint8).tobytes())
    if error is not None:
        raise error
    return value


@contextlib.contextmanager
def asked_to_end() -> Iterator[Callable[[int], bool]]:
    """Whether to end after a step, because SIGTERM has come: it does not end the process at once.

    Several processes end after the same step, whichever of them was asked.
    """
    if jax.process_count() > 1:
        from jax.experimental.multihost_utils import reached_preemption_sync_point

        yield reached_preemption_sync_point
        return
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        yield lambda step: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)
