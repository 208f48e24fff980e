"""`lax.scan` of any step with lengths, resets and direction: the semantics of a sequence call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.checks import check_outputs, check_step_result
from jlstm.types import compute_dtype
from jlstm.values import is_key

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Int, PyTree, Shaped

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
    lengths = lengths if lengths is None else as_counts(lengths)
    step, params = sum_gradients_in_float32(step, params)
    like = carry_type(step, params, state, xs, lengths, resets, reset_state)
    state = jax.tree.map(match, state, like)
    if resets is not None:
        resets = segment_entries(resets, lengths, reverse)
        if reset_state is None:
            reset_state = jax.tree.map(jnp.zeros_like, like)
        reset_state = jax.tree.map(match, reset_state, like)

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

    inputs = (jnp.arange(time, dtype=jnp.int32), xs, resets)
    if isinstance(save, int):

        def chunk(state: PyTree, inputs: tuple) -> tuple[PyTree, PyTree]:
            return lax.scan(partial(_skipping, body), state, inputs, reverse=reverse)

        return scan_in_chunks(chunk, state, inputs, reverse, save)
    if save == "states":
        body = jax.checkpoint(body, prevent_cse=False)
    return lax.scan(body, state, inputs, reverse=reverse)


def _skipping(body: Callable, state: PyTree, inputs: tuple) -> tuple[PyTree, PyTree]:
    """The body at the steps that are there; the others leave the state as it was."""
    present, inputs = inputs
    new_state, y = body(state, inputs)
    return new_state if present is None else select(present, new_state, state), y


def scan_in_chunks(
    chunk: Callable, state: PyTree, inputs: PyTree, reverse: bool, steps: int
) -> tuple[PyTree, PyTree]:
    """A scan over chunks of `steps`, each computed again in the backward pass.

    `chunk(state, (present, inputs))` runs over the steps of one. A last chunk that is not full is
    filled up with steps that are not `present` and have to leave the state as it was, in either
    direction, so that a symbolic time is cut into chunks too; `present` is None where none is.
    """
    time = jax.tree.leaves(inputs)[0].shape[0]
    steps = min(steps, max(time, 1)) if isinstance(time, int) else steps
    chunks = (time + steps - 1) // steps
    missing = chunks * steps - time
    full = isinstance(time, int) and not missing

    def fold(a: Array) -> Array:
        padded = jnp.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1))
        return padded.reshape(chunks, steps, *a.shape[1:])

    present = None if full else (jnp.arange(chunks * steps) < time).reshape(chunks, steps)
    again = jax.checkpoint(chunk, prevent_cse=False)
    inputs = (present, jax.tree.map(fold, inputs))
    state, ys = lax.scan(again, state, inputs, reverse=reverse)
    return state, jax.tree.map(lambda y: y.reshape(chunks * steps, *y.shape[2:])[:time], ys)


def segment_entries(
    resets: Bool[Array, "time *batch"], lengths: Int[Array, "*batch"] | None, reverse: bool
) -> Bool[Array, "time *batch"]:
    """Before which step, in the order of the scan, the state is replaced.

    Forward, a segment is entered at its start. Reversed, it is entered at its end, one step before
    the next segment's start, which has to be a valid step itself.
    """
    start = jnp.arange(resets.shape[0], dtype=jnp.int32)
    if reverse:
        resets, start = jnp.roll(resets, -1, axis=0), start + 1
    start = lax.expand_dims(start, range(1, resets.ndim))
    return resets & (start < (resets.shape[0] if lengths is None else as_counts(lengths)[None]))


def as_counts(lengths: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
    """Lengths in the dtype of the steps that they are compared with."""
    return jnp.asarray(lengths).astype(jnp.int32)


def valid_steps(time: int, lengths: Int[Array, "*batch"]) -> Bool[Array, "time *batch"]:
    """The steps that are no padding."""
    lengths = as_counts(lengths)
    steps = lax.expand_dims(jnp.arange(time, dtype=jnp.int32), range(1, lengths.ndim + 1))
    return steps < lengths[None]


def turned(
    a: Shaped[Array, "time *batch any"], lengths: Int[Array, "*batch"]
) -> Shaped[Array, "time *batch any"]:
    """Each sequence from its last valid step to its first; done twice, it is as it was."""
    lengths = as_counts(lengths)
    step = lax.expand_dims(jnp.arange(a.shape[0], dtype=jnp.int32), range(1, lengths.ndim + 1))
    source = jnp.where(step < lengths[None], lengths[None] - 1 - step, step)
    return jnp.take_along_axis(a, lax.expand_dims(source, range(source.ndim, a.ndim)), axis=0)


def sum_gradients_in_float32(step: Step, params: PyTree) -> tuple[Step, PyTree]:
    """The same step of the same params, which are held in float32 where they are of 16 bits.

    JAX sums the gradient of what a loop closes over in the dtype that enters the loop. In 16 bits
    that sum stalls: over 1,000 steps of bfloat16 the gradient of the bias loses 40%. Widened
    outside the loop and rounded inside, where nothing is lost, the params are what they were.
    """

    def is_narrow(leaf: Any) -> bool:
        return getattr(leaf, "dtype", None) in (jnp.bfloat16, jnp.float16)

    def rounded_step(wide: PyTree, state: PyTree, x: PyTree) -> tuple[PyTree, PyTree]:
        exact = jax.tree.map(lambda w, p: w.astype(p.dtype) if is_narrow(p) else w, wide, params)
        return step(exact, state, x)

    wide = jax.tree.map(lambda p: p.astype(jnp.float32) if is_narrow(p) else p, params)
    return rounded_step, wide


def carry_type(step: Step, params: PyTree, state: PyTree, xs: PyTree, *others: PyTree) -> PyTree:
    """Shapes, dtypes, shardings and varying mesh axes of the state inside the loop.

    They are those that the step returns, varying also along the mesh axes of the `others`, which
    are mixed with it there. A state that knows nothing of the mesh has to be given them to be the
    carry of a scan over sharded inputs.
    """

    def first(x: Array) -> Array:
        return jnp.zeros(x.shape[1:], x.dtype) if x.shape[0] == 0 else x[0]

    def one_step(state: PyTree, xs: PyTree, others: PyTree) -> PyTree:
        out = step(params, state, jax.tree.map(first, xs))
        check_step_result(out, state)
        keyless = [leaf for leaf in jax.tree.leaves(others) if not is_key(leaf)]
        return jax.tree.map(lambda s: s if is_key(s) else vary_alike(s, keyless), out[0])

    return jax.eval_shape(one_step, state, xs, others)


def match(state: Array, like: jax.ShapeDtypeStruct | Array) -> Array:
    """One array of a state with the dtype, sharding and varying axes of the carry."""
    if is_key(state) or state.shape != like.shape:  # the second is lax.scan's to report
        return state
    return state.astype(like.dtype) + jnp.zeros_like(like)


def select(mask: Bool[Array, "*batch"], new: PyTree, old: PyTree) -> PyTree:
    """`new` where the mask holds, else `old`; the arrays lead with the axes of the mask."""

    def one(new: Array, old: Array) -> Array:
        return jnp.where(lax.expand_dims(mask, range(mask.ndim, new.ndim)), new, old)

    return jax.tree.map(one, new, old)


def reset_before(state: PyTree, reset: Bool[Array, "*batch"] | None, reset_state: PyTree) -> PyTree:
    """The state before a step: where the mask holds `reset_state`, or zeros if that is None."""
    if reset is None:
        return state
    if reset_state is None:
        reset_state = jax.tree.map(jnp.zeros_like, state)

    def one(new: Array, old: Array) -> Array:
        dtype = compute_dtype(new, old)  # rounds neither: the step rounds both alike
        return select(jnp.asarray(reset), new.astype(dtype), old.astype(dtype))

    return jax.tree.map(one, *jax.tree.map(jnp.asarray, (reset_state, state)))


def zeros_of(a: Array) -> Array:
    """Zeros of the type of `a`, with its sharding and its varying mesh axes."""
    return jnp.zeros_like(jax.eval_shape(lambda a: a, a))


def vary_alike(tree: PyTree, *others: PyTree) -> PyTree:
    """The arrays, varying along every mesh axis of a `shard_map` that any of them varies along.

    The gradient of what did not vary is then summed over the mesh once, where this was done, and
    not at every step of a loop.
    """
    zero = jnp.zeros(())  # varies, once added to, as what was added does
    for leaf in jax.tree.leaves((tree, others)):
        zero = zero + zeros_of(leaf).astype(zero.dtype).sum()
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), tree)
