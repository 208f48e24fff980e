"""`implementation="cudnn"`: cuDNN's LSTM, as `jax.experimental.rnn` calls it, where it applies.

That is in float32, on CUDA, for sizes known while tracing, with first derivatives in reverse mode.
`vmap` over data folds into the batch. Everything else is refused, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jlstm.primitive import AFTER_TIME, FIRST, WEIGHT, WHOLE, Forms, everywhere, over_time
from jlstm.refusal import refuse
from jlstm.scan import select, turned
from jlstm.types import LSTMParams, LSTMState, compute_dtype

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int

    from jlstm.types import ProjectedParams

NAME = "cudnn"
PLATFORM = "runs on CUDA alone, and this is lowered for something else"

# What `_forward` and `_backward` take and give: weights in one vector, h, c, xs, lengths; h, c, hs,
# and what cuDNN keeps for itself.
INPUT_AXES = (WEIGHT, FIRST, FIRST, AFTER_TIME)
RESULT_AXES = (FIRST, FIRST, AFTER_TIME)


def cudnn(
    params: LSTMParams | ProjectedParams,
    state: LSTMState,
    xs: Float[Array, "time *batch input"],
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reset_state: LSTMState | None,
    reverse: bool,
    save: str | int,
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """One call of cuDNN for the whole sequence. Sequences of length 0, which it cannot do, wait."""
    _check(params, xs, resets, save)
    time, *batch, _ = xs.shape
    h, c, xs = (jnp.asarray(a, jnp.float32) for a in (*state, xs))
    if 0 in (time, *batch):
        return LSTMState(h, c), jnp.zeros((time, *h.shape), h.dtype)
    weights = _packed(params)
    if lengths is None:
        xs = xs[::-1] if reverse else xs
        h, c, hs = _run(weights, h, c, xs, jnp.full(batch, time, jnp.int32))
        return LSTMState(h, c), hs[::-1] if reverse else hs
    valid = lax.expand_dims(jnp.arange(time), range(1, xs.ndim - 1)) < lengths[None]
    steps = jnp.clip(lengths, 1, time).astype(jnp.int32)
    # What is left out is finite in its place: cuDNN computes with it, and 0 * NaN is NaN.
    xs = select(valid, xs, jnp.zeros_like(xs))
    finite = select(lengths > 0, (h, c), (jnp.zeros_like(h), jnp.zeros_like(c)))
    ends = _run(weights, *finite, turned(xs, steps) if reverse else xs, steps)
    hs = turned(ends[2], steps) if reverse else ends[2]
    h, c = select(lengths > 0, ends[:2], (h, c))
    return LSTMState(h, c), select(valid, hs, jnp.zeros_like(hs))


def _check(params: Any, xs: Array, resets: Array | None, save: str | int) -> None:
    """The call is one that cuDNN can do."""
    start = f"implementation={NAME!r}"
    if not isinstance(params, LSTMParams):
        raise ValueError(f"{start} takes LSTMParams, got {type(params).__name__}: use another")
    dtype = compute_dtype(xs, *params)
    if dtype != jnp.float32:
        raise ValueError(f"{start} computes in float32, xs and params give {dtype}")
    if resets is not None:
        raise ValueError(f"{start} has no resets, got resets of shape {resets.shape}")
    if save != "gates":
        raise ValueError(f"{start} keeps what cuDNN keeps: save must be 'gates', got {save!r}")
    if not all(isinstance(size, int) for size in (*xs.shape, *params.weight_hh.shape)):
        raise ValueError(f"{start} needs sizes that are known while tracing, got xs of {xs.shape}")


def _packed(params: LSTMParams | ProjectedParams) -> Float[Array, "numbers"]:
    from jlstm.interop.cudnn import to_cudnn

    return to_cudnn((jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), params),))


@jax.custom_jvp
def _run(
    weights: Array, h: Array, c: Array, xs: Array, lengths: Array
) -> tuple[Array, Array, Array]:
    h_out, c_out, hs, _ = _bind_forward(weights, h, c, xs, lengths)
    return h_out, c_out, hs


@partial(_run.defjvp, symbolic_zeros=True)
def _rule(primals: tuple, moves: tuple) -> tuple:
    h_out, c_out, hs, kept = _bind_forward(*primals)
    # Weights that stand still are no operand: under `vmap` each example would have its gradient.
    still = isinstance(moves[0], SymbolicZero)
    moving = [
        jnp.zeros_like(p) if isinstance(m, SymbolicZero) else m
        for p, m in zip(primals[:4], moves[:4], strict=True)
    ]

    def forward_mode(*args: Array) -> list[Array]:
        _, h, c, _, _, hs, *_ = args
        return refuse(NAME, "has no forward mode: jvp, jacfwd, linearize", args, (h, c, hs))

    def backward(*args: Array) -> Sequence[Array]:
        return _backward(*args)[still:]

    def nowhere_else(*args: Array) -> list[Array]:
        return refuse(NAME, PLATFORM, args, jax.eval_shape(backward, *args))

    moved = over_time(
        everywhere(forward_mode),
        (*primals, hs, kept),
        (*INPUT_AXES, FIRST, AFTER_TIME, WHOLE),
        RESULT_AXES,
        operands=moving[still:],
        operand_axes=INPUT_AXES[still:],
        transpose=_on_cuda(backward, nowhere_else),
    )
    return (h_out, c_out, hs), tuple(moved)


def _bind_forward(*args: Array) -> list[Array]:
    try:
        jax.eval_shape(_forward, *args)
    except AttributeError as problem:  # the plugin has the sizes of what cuDNN keeps
        raise ValueError(
            f"implementation={NAME!r} needs a CUDA GPU and the plugin of jax for it, "
            f"jlstm[cuda12] or jlstm[cuda13]: {problem}"
        ) from problem
    except NotImplementedError as problem:  # a matmul precision that cuDNN does not have
        raise ValueError(f"implementation={NAME!r}: {problem}") from problem

    def nowhere_else(*args: Array) -> list[Array]:
        return refuse(NAME, PLATFORM, args, jax.eval_shape(_forward, *args))

    return over_time(
        _on_cuda(_forward, nowhere_else),
        args,
        (*INPUT_AXES, FIRST),
        (*RESULT_AXES, WHOLE),
    )


def _on_cuda(function: Callable, nowhere_else: Callable) -> Forms:
    def elsewhere(*args: Array) -> Sequence[Array]:
        return lax.platform_dependent(*args, cuda=function, default=nowhere_else)

    return Forms(nowhere_else, nowhere_else, elsewhere)


def _forward(weights: Array, h: Array, c: Array, xs: Array, lengths: Array) -> list[Array]:
    """`[h, c, hs, kept]` for any number of batch axes."""
    from jax.experimental import rnn

    (ys, h_out, c_out), saved = rnn.lstm_fwd(
        _batch_first(xs), _layer(h), _layer(c), weights, lengths.reshape(-1), **_sizes(xs, h)
    )
    return [h_out.reshape(h.shape), c_out.reshape(c.shape), _time_first(ys, h), saved[-1]]


def _backward(
    weights: Array, h: Array, c: Array, xs: Array, lengths: Array, hs: Array, kept: Array,
    d_h: Array, d_c: Array, d_hs: Array,
) -> list[Array]:  # fmt: skip
    """The cotangents of weights, h, c and xs."""
    from jax.experimental import rnn

    saved = (
        _batch_first(xs), _layer(h), _layer(c), weights, lengths.reshape(-1), _batch_first(hs), kept
    )  # fmt: skip
    back = (_batch_first(d_hs), _layer(d_h), _layer(d_c))
    sizes = tuple(_sizes(xs, h).values())
    d_xs, d_h, d_c, d_weights, _ = rnn.lstm_bwd(*sizes, residuals=saved, gradients=back)
    return [d_weights, d_h.reshape(h.shape), d_c.reshape(c.shape), _time_first(d_xs, h)]


def _sizes(xs: Array, h: Array) -> dict[str, Any]:
    """What `jax.experimental.rnn` wants to know, in its order."""
    return {
        "input_size": xs.shape[-1], "hidden_size": h.shape[-1], "num_layers": 1, "dropout": 0.0,
        "bidirectional": False, "precision": None,
    }  # fmt: skip


def _batch_first(a: Float[Array, "time *batch features"]) -> Float[Array, "rows time features"]:
    return a.reshape(a.shape[0], math.prod(a.shape[1:-1]), a.shape[-1]).swapaxes(0, 1)


def _time_first(
    a: Float[Array, "rows time features"], h: Float[Array, "*batch hidden"]
) -> Float[Array, "time *batch features"]:
    return a.swapaxes(0, 1).reshape(a.shape[1], *h.shape[:-1], a.shape[2])


def _layer(a: Float[Array, "*batch hidden"]) -> Float[Array, "layers rows hidden"]:
    return a.reshape(1, -1, a.shape[-1])
