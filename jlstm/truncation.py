"""Truncated backpropagation through time: the gradient stops every so many steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jlstm.checks import check_masks
from jlstm.scan import match, sum_gradients_in_float32
from jlstm.types import BiLSTMParams

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Int, PyTree


def truncated(scan: Callable, steps: int) -> Callable:
    """A scan with the values of `scan`, whose gradient crosses no multiple of `steps`.

    What a step does to the loss is felt up to the start of its own window of `steps`, and no
    further: time is cut at `steps`, `2*steps` and so on. The gradient reaches the initial state
    from the first window, as a learned one needs.

    Args:
      scan: `jlstm.lstm_scan`, `jlstm.stack_scan`, `functools.partial(jlstm.scan_cell, step)`, or
        any function called alike, that continues from the state it returns.
      steps: the steps of a window, 1 or more.

    Returns:
      A function with the arguments of `scan`; `extras` are cut like `xs`, and a random `key` gives
      each window a key of its own.

    Raises:
      ValueError: `steps` below 1; in the call, `reverse` or a bidirectional layer, which do not
        continue from window to window. TypeError: `steps` that is no integer.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> xs = jax.random.normal(jax.random.key(1), (100, 2, 3))
      >>> def last(xs):
      ...     return jlstm.truncated(jlstm.lstm_scan, 35)(params, None, xs)[1][-1].sum()
      >>> gradient = jax.grad(last)(xs)
      >>> bool((gradient[:70] == 0).all()), bool((gradient[70:] != 0).all())
      (True, True)
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer):
        raise TypeError(f"steps must be an integer, got {steps!r}")
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, got {steps}")

    def run(
        params: PyTree,
        state: PyTree,
        xs: PyTree,
        *,
        lengths: Int[Array, "*batch"] | None = None,
        resets: Bool[Array, "time *batch"] | None = None,
        **options: Any,
    ) -> tuple[PyTree, PyTree]:
        if options.get("reverse"):
            raise ValueError("truncated runs forward in time, got reverse=True")
        check_masks(xs, lengths, resets)
        if isinstance(params, tuple) and any(isinstance(p, BiLSTMParams) for p in params):
            raise ValueError("truncated needs layers that continue, and one is bidirectional")
        key, extras = options.pop("key", None), options.pop("extras", None)

        def window(params: PyTree, state: PyTree, inputs: tuple) -> tuple[PyTree, PyTree]:
            k, xs, resets, extras = inputs
            more = dict(options)
            if extras is not None:
                more["extras"] = extras
            if key is not None:
                more["key"] = jax.random.fold_in(key, k)
            if lengths is not None:
                span = jax.tree.leaves(xs)[0].shape[0]
                more["lengths"] = jnp.clip(lengths - k * steps, 0, span)
            return scan(params, state, xs, resets=resets, **more)

        return _windows(window, params, state, (xs, resets, extras), steps)

    return run


def _windows(
    window: Callable, params: PyTree, state: PyTree, inputs: PyTree, steps: int
) -> tuple[PyTree, PyTree]:
    """All full windows in one loop, and what is left after them."""
    time = jax.tree.leaves(inputs)[0].shape[0]
    full = time // steps
    if full == 0:
        return window(params, state, (0, *inputs))

    def part(start: int, stop: int) -> PyTree:
        return jax.tree.map(lambda a: a[start:stop], inputs)

    if full == 1:
        state, ys = window(params, state, (0, *part(0, steps)))
        parts = [ys]
    else:
        like = jax.eval_shape(window, params, state, (0, *part(0, steps)))[0]
        state = jax.tree.map(jnp.zeros_like, like) if state is None else state
        state = jax.tree.map(match, state, like)
        one_window, wide = sum_gradients_in_float32(window, params)

        def body(state: PyTree, inputs: tuple) -> tuple[PyTree, PyTree]:
            k = inputs[0]
            cut = jax.tree.map(lambda a: jnp.where(k == 0, a, lax.stop_gradient(a)), state)
            return one_window(wide, cut, inputs)

        folded = jax.tree.map(lambda a: a.reshape(full, steps, *a.shape[1:]), part(0, full * steps))
        state, ys = lax.scan(body, state, (jnp.arange(full), *folded))
        parts = [jax.tree.map(lambda a: a.reshape(full * steps, *a.shape[2:]), ys)]
    if time % steps:
        state = jax.tree.map(lax.stop_gradient, state)
        state, ys = window(params, state, (full, *part(full * steps, time)))
        parts.append(ys)
    return state, jax.tree.map(lambda *a: jnp.concatenate(a), *parts)
