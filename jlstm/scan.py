"""`lax.scan` of any step with lengths, resets and direction: the semantics of a sequence call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.checks import check_outputs, is_key

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Int, PyTree

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def masked_scan(
    step: Step,
    params: PyTree,
    state: PyTree,
    xs: PyTree,
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reset_state: PyTree | None,
    reverse: bool,
    save: str | int = "gates",
) -> tuple[PyTree, PyTree]:
    """Scan `step` over time under JAX's own derivative; arguments are checked by the caller.

    `save` says what the backward pass finds: the residuals of every step ("gates"), the state
    before every step ("states", each step is computed again), or the state before every K-th step.
    """
    time = jax.tree.leaves(xs)[0].shape[0]
    state = match_carry(step, params, state, xs)
    if resets is not None:
        resets = segment_entries(resets, lengths, reverse)
        blank = jax.tree.map(jnp.zeros_like, state)
        reset_state = (
            blank
            if reset_state is None
            else jax.tree.map(lambda zero, s: zero + s.astype(zero.dtype), blank, reset_state)
        )

    def body(state: PyTree, inputs: tuple) -> tuple[PyTree, PyTree]:
        t, x, reset = inputs
        if reset is not None:
            state = select(reset, reset_state, state)
        if lengths is None:
            return step(params, state, x)
        valid = t < lengths
        # Padding is replaced before the step, not only after it: the derivative of a step on NaN
        # is NaN, and 0 * NaN would reach the weights.
        x = jax.tree.map(lambda a: a if is_key(a) else select(valid, a, jnp.zeros_like(a)), x)
        new_state, y = step(params, state, x)
        check_outputs(y, lengths)
        blank = jax.tree.map(jnp.zeros_like, y)
        return select(valid, new_state, state), select(valid, y, blank)

    inputs = (jnp.arange(time), xs, resets)
    if isinstance(save, int):
        return _scan_in_chunks(body, state, inputs, reverse, save)
    if save == "states":
        body = jax.checkpoint(body, prevent_cse=False)
    return lax.scan(body, state, inputs, reverse=reverse)


def segment_entries(
    resets: Bool[Array, "time *batch"], lengths: Int[Array, "*batch"] | None, reverse: bool
) -> Bool[Array, "time *batch"]:
    """Before which step, in the order of the scan, the state is replaced.

    Forward, a segment is entered at its start. Reversed, it is entered at its end, one step before
    the next segment's start, which has to be a valid step itself.
    """
    start = jnp.arange(resets.shape[0])
    if reverse:
        resets, start = jnp.roll(resets, -1, axis=0), start + 1
    start = start.reshape(-1, *[1] * (resets.ndim - 1))
    return resets & (start < (resets.shape[0] if lengths is None else lengths))


def match_carry(step: Step, params: PyTree, state: PyTree, xs: PyTree) -> PyTree:
    """`state` with the dtypes, sharding and varying mesh axes that `step` gives it.

    A state is cast to what the step returns, and zeros made from that type are added, so that a
    state that knows nothing of the mesh can be the carry of a scan over sharded inputs.
    """

    def first(xs: PyTree) -> PyTree:
        def one(x: Array) -> Array:
            return jnp.zeros(x.shape[1:], x.dtype) if x.shape[0] == 0 else x[0]

        return jax.tree.map(one, xs)

    def match(s: Array, out: jax.ShapeDtypeStruct) -> Array:
        if is_key(s) or s.shape != out.shape:  # the second is lax.scan's to report
            return s
        return s.astype(out.dtype) + jnp.zeros_like(out)

    out_state, _ = jax.eval_shape(lambda s, xs: step(params, s, first(xs)), state, xs)
    if jax.tree.structure(out_state) != jax.tree.structure(state):
        raise ValueError(
            f"the step takes a state of structure {jax.tree.structure(state)} "
            f"and returns {jax.tree.structure(out_state)}"
        )
    return jax.tree.map(match, state, out_state)


def select(mask: Bool[Array, "*batch"], new: PyTree, old: PyTree) -> PyTree:
    """`new` where the mask holds, else `old`; the arrays lead with the axes of the mask."""

    def one(new: Array, old: Array) -> Array:
        return jnp.where(lax.expand_dims(mask, range(mask.ndim, new.ndim)), new, old)

    return jax.tree.map(one, new, old)


def _scan_in_chunks(
    body: Callable, state: PyTree, inputs: PyTree, reverse: bool, steps: int
) -> tuple[PyTree, PyTree]:
    """A scan over chunks of `steps`, each computed again in the backward pass, then the rest."""
    time = inputs[0].shape[0]
    rest = time % steps
    inner = partial(lax.scan, body, reverse=reverse)

    def cut(chunked: bool) -> PyTree:
        # The rest comes last in the order of the scan.
        after = slice(rest, time) if reverse else slice(0, time - rest)
        before = slice(0, rest) if reverse else slice(time - rest, time)
        return jax.tree.map(lambda a: a[after] if chunked else a[before], inputs)

    def fold(a: Array) -> Array:
        return a.reshape(time // steps, steps, *a.shape[1:])

    def unfold(a: Array) -> Array:
        return a.reshape(time - rest, *a.shape[2:])

    chunk = jax.checkpoint(inner, prevent_cse=False)
    state, ys = lax.scan(chunk, state, jax.tree.map(fold, cut(True)), reverse=reverse)
    ys = jax.tree.map(unfold, ys)
    state, tail = inner(state, cut(False))
    order = (tail, ys) if reverse else (ys, tail)
    return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *order)
