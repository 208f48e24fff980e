"""Truncated backpropagation through time: the gradient stops every `steps` steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jlstm.checks.calls import check_masks, check_times
from jlstm.checks.values import described, whole
from jlstm.recurrence.carry import sum_gradients_in_float32
from jlstm.types import BiLSTMParams

if TYPE_CHECKING:
    from jlstm.types import Array, Bool, Int, PyTree


def truncated(scan: Callable, steps: int) -> Callable:
    """A scan with the values of `scan`, whose gradient crosses no multiple of `steps`.

    Time is cut into windows at `steps`, `2*steps` and so on; the gradient at a step reaches back to
    the start of its window. From the first window it reaches the initial state, so that this can be
    learned.

    Args:
      scan: `jlstm.lstm_scan`, `jlstm.stack_scan`, `functools.partial(jlstm.scan_cell, step)`, or
        any function with the same arguments that continues from the state it returns.
      steps: the number of steps of a window, 1 or more.

    Returns:
      A function with the arguments of `scan`; `extras` are cut like `xs`, and a random `key` is
      folded with the number of each window. Call it under `jax.jit`: outside, its loop is compiled
      at each call, like that of `jax.lax.scan`.

    Raises:
      ValueError: `steps` below 1; in the call, `reverse` or a bidirectional layer, which do not
        continue from window to window, and a symbolic time.
      TypeError: `steps` that is not an integer.

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
    if not callable(scan):
        raise TypeError(f"scan must be a function, as jlstm.lstm_scan; got {described(scan)}")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer):
        raise TypeError(f"steps must be an integer, got {steps!r:.80}{whole(steps)}")
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, got {steps}")

    return partial(_scan_windows, scan, int(steps))


def _scan_windows(
    scan: Callable,
    size: int,
    /,  # `steps` is an option of `stack_scan`
    params: PyTree,
    state: PyTree,
    xs: PyTree,
    *,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    **options: Any,
) -> tuple[PyTree, PyTree]:
    """Run `scan` window by window; at the top level of the module, so that it can be pickled."""
    if options.get("reverse"):
        raise ValueError("truncated runs forward in time, got reverse=True")
    if isinstance(params, tuple) and any(isinstance(p, BiLSTMParams) for p in params):
        raise ValueError("truncated supports one direction only, got a bidirectional layer")
    check_times(xs)
    check_masks(xs, lengths, resets)
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
            more["lengths"] = jnp.clip(jnp.asarray(lengths, jnp.int32) - k * size, 0, span)
        out = scan(params, state, xs, resets=resets, **more)
        if not isinstance(out, tuple) or len(out) != 2:
            raise TypeError(f"scan must return (state, ys), got {len(out)} results")
        return out

    return _windows(window, params, state, (xs, resets, extras), size)


def _windows(
    window: Callable, params: PyTree, state: PyTree, inputs: PyTree, steps: int
) -> tuple[PyTree, PyTree]:
    """Run the first window, the other full windows in one loop, and the rest."""
    time = jax.tree.leaves(inputs)[0].shape[0]
    if not isinstance(time, int):
        raise ValueError(f"truncated needs a time that is known while tracing, got {time}")

    def part(start: int, stop: int) -> PyTree:
        return jax.tree.map(lambda a: a[start:stop], inputs)

    def fixed(state: PyTree) -> PyTree:
        return jax.tree.map(lax.stop_gradient, state)

    state, ys = window(params, state, (0, *part(0, steps)))
    parts = [ys]
    full = time // steps
    if full > 1:
        one_window, wide = sum_gradients_in_float32(window, params)
        folded = jax.tree.map(
            lambda a: a.reshape(full - 1, steps, *a.shape[1:]), part(steps, full * steps)
        )
        state, ys = lax.scan(
            lambda state, inputs: one_window(wide, fixed(state), inputs),
            state,
            (jnp.arange(1, full), *folded),
        )
        parts.append(jax.tree.map(lambda a: a.reshape((full - 1) * steps, *a.shape[2:]), ys))
    if full and time % steps:
        state, ys = window(params, fixed(state), (full, *part(full * steps, time)))
        parts.append(ys)
    return state, jax.tree.map(lambda *a: jnp.concatenate(a), *parts)
