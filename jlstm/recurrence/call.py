"""A sequence call as two nouns, `Inputs` and `Masks`, which every implementation takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.checks.values import is_key
from jlstm.masks import Masks, make_masks, select
from jlstm.recurrence.carry import (
    carry_type,
    cast_to_carry,
    sum_gradients_in_float32,
    unify_varying_axes,
)

if TYPE_CHECKING:
    from jlstm.types import Array, Bool, Int, PyTree, Step


class Inputs(NamedTuple):
    """The differentiable inputs of a recurrence; in a tangent, None is zero.

    The states have the dtypes of the carry. `reset_state` is None where nothing is reset. Padding
    in `xs` is zero.
    """

    params: Any
    state: Any
    reset_state: Any
    xs: Any


Run = Callable[[Inputs, Masks, bool], tuple[Any, Any]]
"""An implementation: `(inputs, masks, reverse) -> (state, ys)`."""


def prepare(
    step: Step,
    params: PyTree,
    state: PyTree,
    xs: PyTree,
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reset_state: PyTree | None,
    reverse: bool,
) -> tuple[Inputs, Masks]:
    """The call as an implementation takes it; the arguments have been checked."""
    masks = make_masks(jax.tree.leaves(xs)[0].shape[0], lengths, resets, reverse)
    if masks.valid is not None:
        # Padding is replaced before the steps: the derivative of a step on NaN is NaN, and 0 * NaN
        # would reach the weights.
        def blank(x: Array) -> Array:
            return x if is_key(x) else select(masks.valid, x, jnp.zeros_like(x))

        xs = jax.tree.map(blank, xs)
    like = carry_type(step, params, state, xs, masks, reset_state)
    state = jax.tree.map(cast_to_carry, state, like)
    if resets is None:
        reset_state = None
    elif reset_state is None:
        reset_state = jax.tree.map(jnp.zeros_like, like)
    if reset_state is not None:
        reset_state = jax.tree.map(cast_to_carry, reset_state, like)
    return Inputs(params, state, reset_state, xs), masks


def unified(run: Run) -> Run:
    """The same recurrence, of inputs that all vary along the same mesh axes of a `shard_map`."""

    def run_unified(inputs: Inputs, masks: Masks, reverse: bool) -> tuple[PyTree, PyTree]:
        return run(unify_varying_axes(inputs, masks), masks, reverse)

    return run_unified


def chunked(run: Run, steps: int) -> Run:
    """The same recurrence over chunks of `steps`, each computed again in the backward pass.

    A last chunk that is not full is filled up with steps that are not valid, so that a symbolic
    time is cut into chunks too.
    """

    def run_in_chunks(inputs: Inputs, masks: Masks, reverse: bool) -> tuple[PyTree, PyTree]:
        time = jax.tree.leaves(inputs.xs)[0].shape[0]
        size = min(steps, max(time, 1)) if isinstance(time, int) else steps
        chunks = (time + size - 1) // size
        missing = chunks * size - time
        if not (isinstance(time, int) and missing == 0):
            valid = jnp.ones(time, bool) if masks.valid is None else masks.valid
            masks = masks._replace(valid=valid)  # and padded with False

        def fold(a: Array) -> Array:
            if is_key(a):
                data = fold(jax.random.key_data(a))
                return jax.random.wrap_key_data(data, impl=jax.random.key_impl(a))
            padded = jnp.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1))
            return padded.reshape(chunks, size, *a.shape[1:])

        def run_chunk(weights: tuple, state: PyTree, chunk: tuple) -> tuple[PyTree, PyTree]:
            (params, reset_state), (xs, masks) = weights, chunk
            return run(Inputs(params, state, reset_state, xs), masks, reverse)

        weights = (inputs.params, inputs.reset_state)
        run_chunk, weights = sum_gradients_in_float32(run_chunk, weights)

        again = jax.checkpoint(partial(run_chunk, weights), prevent_cse=False)
        folded = jax.tree.map(fold, (inputs.xs, masks))
        state, ys = lax.scan(again, inputs.state, folded, reverse=reverse)
        return state, jax.tree.map(lambda y: y.reshape(chunks * size, *y.shape[2:])[:time], ys)

    return run_in_chunks
