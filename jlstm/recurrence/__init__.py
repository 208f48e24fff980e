"""Implementations of the recurrence over time, by name: the seam of the library.

Each is a function `(inputs, masks, reverse, keep) -> (state, ys)`. `Inputs` and `Masks` hold every
semantic of a sequence call, see `jlstm.recurrence.call`. `keep` is "gates" or "states": what the
backward pass is given per step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from jlstm.checks.values import meant
from jlstm.recurrence.call import Run, chunked, unified
from jlstm.recurrence.cudnn import cudnn_scan
from jlstm.recurrence.fused import fused_scan
from jlstm.recurrence.native.loops import fastest_scan, native_scan
from jlstm.recurrence.pallas.loops import pallas_scan
from jlstm.recurrence.plain import plain_scan

if TYPE_CHECKING:
    from jlstm.types import Step

IMPLEMENTATIONS: Mapping[str, Callable] = MappingProxyType(
    {
        "fused": fused_scan,
        "native": native_scan,
        "scan": plain_scan,
        "cudnn": cudnn_scan,
        "pallas": pallas_scan,
    }
)


def choose(implementation: str | None, step: Step, save: str | int) -> Run:
    """The named implementation, which never falls back to another, or the fastest for None.

    A program may be traced once for several platforms, so that the default is one for all of them:
    the fused loops, whose form is chosen when the program is lowered, and on CPU the kernels.
    """
    name = check_implementation(implementation)
    run = fastest_scan if name is None else IMPLEMENTATIONS[name]
    if name == "scan":  # the only one that calls the step
        run = partial(run, step)
    keep = "gates" if isinstance(save, int) else save
    run = partial(run, keep=keep)
    run = chunked(run, save) if isinstance(save, int) else run
    return (
        unified(run) if name in (None, "fused", "native", "pallas") else run
    )  # a derivative of our own


def check_implementation(implementation: str | None) -> str | None:
    """Raise ValueError unless this is the name of an implementation or None; return it."""
    if implementation is not None and (
        not isinstance(implementation, str) or implementation not in IMPLEMENTATIONS
    ):
        names = ", ".join(map(repr, IMPLEMENTATIONS))
        raise ValueError(
            f"implementation must be None or one of {names}; got {implementation!r}"
            f"{meant(implementation, IMPLEMENTATIONS)}"
        )
    return implementation
