"""The implementations of the LSTM's recurrence over time, by name: the seam of the library.

Each is a function `(params, state, xs, lengths, resets, reset_state, reverse, save)` that returns
`(state, hs)` with every semantic of a sequence call. Arguments come checked, states and
`reset_state` may hold any float dtype, and `lengths`, `resets` and `reset_state` may be None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from jlstm.cell import lstm_step
from jlstm.scan import masked_scan

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int

    from jlstm.types import LSTMParams, LSTMState


def plain_scan(
    params: LSTMParams,
    state: LSTMState,
    xs: Float[Array, "time *batch input"],
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reset_state: LSTMState | None,
    reverse: bool,
    save: str | int,
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """`lax.scan` of `lstm_step`, differentiated by JAX."""
    return masked_scan(lstm_step, params, state, xs, lengths, resets, reset_state, reverse, save)


IMPLEMENTATIONS: Mapping[str, Callable] = MappingProxyType({"scan": plain_scan})
BEST = "scan"


def choose(implementation: str | None) -> Callable:
    """The implementation of that name; None is the best one."""
    if implementation is None:
        return IMPLEMENTATIONS[BEST]
    if not isinstance(implementation, str) or implementation not in IMPLEMENTATIONS:
        known = ", ".join(repr(name) for name in IMPLEMENTATIONS)
        raise ValueError(f"implementation must be None or one of {known}; got {implementation!r}")
    return IMPLEMENTATIONS[implementation]
