"""The implementations of the LSTM's recurrence over time, by name: the seam of the library.

Each is a function `(params, state, xs, lengths, resets, reset_state, reverse, save)` that returns
`(state, hs)` with every semantic of a sequence call. Arguments come checked, states and
`reset_state` may hold any float dtype, and `lengths`, `resets` and `reset_state` may be None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.backward import Masks
from jlstm.derivative import Inputs
from jlstm.fused import PLAIN, Loops, fused_scan
from jlstm.gpu.cudnn import cudnn
from jlstm.gpu.pallas import check_call, kernel_loops
from jlstm.layers import LAYER_TYPES as KINDS
from jlstm.scan import (
    carry_type,
    masked_scan,
    match,
    scan_in_chunks,
    segment_entries,
    select,
    sum_gradients_in_float32,
    valid_steps,
    vary_alike,
)
from jlstm.types import compute_dtype
from jlstm.values import meant

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int

    from jlstm.types import LSTMParams, LSTMState, ProjectedParams


def plain_scan(
    params: LSTMParams | ProjectedParams,
    state: LSTMState,
    xs: Float[Array, "time *batch input"],
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reset_state: LSTMState | None,
    reverse: bool,
    save: str | int,
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """`lax.scan` of the step, differentiated by JAX."""
    return masked_scan(
        KINDS[type(params)].step, params, state, xs, lengths, resets, reset_state, reverse, save
    )


def fused(
    params: LSTMParams | ProjectedParams,
    state: LSTMState,
    xs: Float[Array, "time *batch input"],
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reset_state: LSTMState | None,
    reverse: bool,
    save: str | int,
    loops: Loops = PLAIN,
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """The loop with a derivative of its own: the gradients are products over many steps."""
    dtype = compute_dtype(xs, *params)
    params, xs = jax.tree.map(lambda a: a.astype(dtype) if _is_weak(a) else a, (params, xs))
    like = carry_type(KINDS[type(params)].step, params, state, xs, lengths, resets, reset_state)
    state = jax.tree.map(match, state, like)
    if isinstance(xs.shape[0], int) and xs.shape[0] == 0:
        return state, jnp.zeros((0, *state.h.shape), state.h.dtype)
    valid = entered = None
    if lengths is not None:
        valid = valid_steps(xs.shape[0], lengths)
        # Weights' gradients are products over all steps, which 0 * NaN of padding would reach.
        xs = select(valid, xs, jnp.zeros_like(xs))
    if resets is None:
        reset_state = None
    else:
        entered = segment_entries(resets, lengths, reverse)
        if reset_state is None:
            reset_state = jax.tree.map(jnp.zeros_like, like)
        reset_state = jax.tree.map(match, reset_state, like)
    masks = Masks(valid, entered)
    inputs = vary_alike(Inputs(params, state, reset_state, xs), masks)
    if not isinstance(save, int):
        return fused_scan(inputs, masks, reverse, keep_gates=save == "gates", loops=loops)

    def run(weights: tuple, state: LSTMState, chunk: tuple) -> tuple[LSTMState, Array]:
        params, reset_state = weights
        present, (xs, masks) = chunk
        if present is not None:
            present = lax.expand_dims(present, range(1, xs.ndim - 1))
            present = jnp.broadcast_to(present, xs.shape[:-1])
            masks = masks._replace(valid=present if masks.valid is None else masks.valid & present)
        inputs = Inputs(params, state, reset_state, xs)
        return fused_scan(inputs, masks, reverse, keep_gates=True, loops=loops)

    run, weights = sum_gradients_in_float32(run, (inputs.params, inputs.reset_state))
    chunks = (inputs.xs, masks)
    return scan_in_chunks(partial(run, weights), inputs.state, chunks, reverse, save)


def pallas(
    params: LSTMParams | ProjectedParams,
    state: LSTMState,
    xs: Float[Array, "time *batch input"],
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reset_state: LSTMState | None,
    reverse: bool,
    save: str | int,
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """`fused` with persistent kernels for Hopper GPUs as its loops."""
    check_call(params, xs)
    return fused(params, state, xs, lengths, resets, reset_state, reverse, save, kernel_loops())


def _is_weak(a: Array) -> bool:
    """Whether the array takes the dtype of others; a derivative of our own would not know."""
    return getattr(jax.typeof(a), "weak_type", False)


IMPLEMENTATIONS: Mapping[str, Callable] = MappingProxyType(
    {"fused": fused, "scan": plain_scan, "cudnn": cudnn, "pallas": pallas}
)


class Rule(NamedTuple):
    """What `implementation=None` takes on a platform, and what was measured there."""

    implementation: str
    measured: str


# Only what has every semantic under every transformation may stand here: "fused" and "scan". A
# program may be traced once for several platforms, so all rules name one implementation; which form
# of its loops a platform gets is decided when the program is lowered, in `jlstm.fused`.
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "cpu": Rule(
            "fused",
            "benchmarks/results/cpu.json: against the plain scan, training 1.11 to 3.03 times as "
            "fast, forward 0.98 to 1.45 times",
        ),
        "cuda": Rule("fused", "nothing yet: there was no GPU, so it is plain JAX and no kernel"),
        "rocm": Rule("fused", "nothing yet: as for CUDA"),
        "tpu": Rule("fused", "nothing yet: there was no TPU"),
    }
)
(BEST,) = {rule.implementation for rule in RULES.values()}


def choose(implementation: str | None) -> Callable:
    """The implementation of that name; None is the best one, and nothing ever takes its place."""
    if implementation is None:
        return IMPLEMENTATIONS[BEST]
    if not isinstance(implementation, str) or implementation not in IMPLEMENTATIONS:
        known = ", ".join(repr(name) for name in IMPLEMENTATIONS)
        raise ValueError(
            f"implementation must be None or one of {known}; got {implementation!r}"
            f"{meant(implementation, IMPLEMENTATIONS)}"
        )
    return IMPLEMENTATIONS[implementation]
