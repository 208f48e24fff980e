"""Multi-process runs: start-up, broadcast from the first process, SIGTERM.

On one host a run is one process. On several hosts the same command is started on each. They share a
disk with the run's folder: only the first process writes figures and pictures there, and all of
them write their parts of a checkpoint.
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
LOST = 30  # seconds without a heartbeat after which a process is lost and the others exit


def detected_cluster() -> bool:
    """Return whether SLURM (`srun`) or an indexed Job of Kubernetes started several processes."""
    slurm = all(name in os.environ for name in SLURM) and int(os.environ["SLURM_NTASKS"]) > 1
    return slurm or all(name in os.environ for name in KUBERNETES)


def join(flags: Distributed) -> None:
    """Join the other processes of the run, if there are any, before JAX starts.

    Raises:
      InputError: incompatible flags, or processes that cannot be reached.
    """
    flags_set = {name: value for name, value in vars(flags).items() if value is not None}
    flags_set.pop("timeout")
    if not flags_set and not detected_cluster():
        return
    if flags_set and len(flags_set) < 3:
        missing = sorted({"coordinator", "processes", "process"} - set(flags_set))
        raise InputError(
            f"--distributed.{missing[0]} is required with --distributed.{min(flags_set)}"
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
    """Wait until the first process can be reached; JAX would abort the program."""
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
    """Return whether this process is the first one, which writes."""
    return jax.process_index() == 0


def leave(status: int) -> None:
    """Exit one of several processes after an error: JAX would wait for those that are gone."""
    if jax.process_count() == 1:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    if is_first():  # JAX aborts the others without it: give them time to report their own errors
        time.sleep(1)
    os._exit(status)


def on_first_process(function: Callable[[], Value]) -> Value:
    """Call a function in the first process, and return its value, or raise its error, in all."""
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
def watch_for_sigterm() -> Iterator[Callable[[int], bool]]:
    """Yield a function that returns whether SIGTERM has arrived, by the end of a step.

    The signal does not end the process itself. Several processes stop after the same step,
    whichever of them received it.
    """
    if jax.process_count() > 1:
        from jax.experimental.multihost_utils import reached_preemption_sync_point

        yield reached_preemption_sync_point
        return
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield lambda step: bool(received)
    finally:
        signal.signal(signal.SIGTERM, before)
