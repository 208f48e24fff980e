"""`implementation="cudnn"`: cuDNN's LSTM, as `jax.experimental.rnn` calls it, where it applies.

That is in float32, on CUDA, for sizes known while tracing, with first derivatives in reverse mode.
`vmap` over data folds into the batch. Everything else is refused, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jlstm.masks import Masks, reverse_within_lengths, select
from jlstm.recurrence.lowerings import BatchAxis, Lowerings, same_everywhere
from jlstm.recurrence.primitive import over_time
from jlstm.recurrence.unsupported import unsupported
from jlstm.types import LSTMParams, LSTMState, compute_dtype

if TYPE_CHECKING:
    from jlstm.recurrence.call import Inputs
    from jlstm.types import Array, Float, Int

NAME = "cudnn"
ELSEWHERE = "is available on CUDA only; this program is being lowered for another platform"

FIRST, AFTER_TIME = BatchAxis.FIRST, BatchAxis.AFTER_TIME


class Operands(NamedTuple):
    """The differentiable operands of cuDNN's forward call."""

    weights: Any  # in one vector; None for a tangent that is zero
    state: LSTMState
    xs: Float[Array, "time *batch input"]


STATE_AXES = LSTMState._make((FIRST, FIRST))
OPERAND_AXES = Operands._make((BatchAxis.NONE, STATE_AXES, AFTER_TIME))
RESULT_AXES = (STATE_AXES, AFTER_TIME)  # the last state, hs


def cudnn_scan(
    inputs: Inputs, masks: Masks, reverse: bool, keep: str
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """The recurrence, by one call of cuDNN.

    cuDNN cannot take a sequence of length 0: its result is put in afterwards.
    """
    _check(inputs, masks, keep)
    params, state, _, xs = inputs
    time, *batch = xs.shape[:-1]
    state, xs = jax.tree.map(lambda a: a.astype(jnp.float32), (state, xs))
    if 0 in (time, *batch):
        return state, jnp.zeros((time, *state.h.shape), state.h.dtype)
    weights = pack_weights([jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), params)])
    if masks.valid is None:
        lengths = jnp.full(batch, time, jnp.int32)
        xs = xs[::-1] if reverse else xs
        state, hs = _run(Operands(weights, state, xs), lengths)
        return state, hs[::-1] if reverse else hs
    valid = lax.expand_dims(masks.valid, range(masks.valid.ndim, len(batch) + 1))
    valid = jnp.broadcast_to(valid, (time, *batch))
    lengths = valid.sum(0, dtype=jnp.int32)
    steps = jnp.maximum(lengths, 1)
    # cuDNN computes with the states that are left out, and 0 * NaN is NaN.
    finite = select(lengths > 0, state, jax.tree.map(jnp.zeros_like, state))
    turned = reverse_within_lengths(xs, steps) if reverse else xs
    last, hs = _run(Operands(weights, finite, turned), steps)
    hs = reverse_within_lengths(hs, steps) if reverse else hs
    return select(lengths > 0, last, state), select(valid, hs, jnp.zeros_like(hs))


def pack_weights(cells: Sequence[LSTMParams]) -> Float[Array, "numbers"]:
    """The weights of all layers and directions in one vector, as cuDNN takes them.

    Matrices come first, then biases, of which cuDNN has two: the second is zero.
    """
    matrices = [a.T.ravel() for params in cells for a in (params.weight_ih, params.weight_hh)]
    biases = [b for params in cells for b in (params.bias, jnp.zeros_like(params.bias))]
    return jnp.concatenate(matrices + biases)


def _check(inputs: Inputs, masks: Masks, keep: str) -> None:
    """Raise ValueError unless cuDNN supports the call."""
    start = f"implementation={NAME!r}"
    params, xs = inputs.params, inputs.xs
    if not isinstance(params, LSTMParams):
        raise ValueError(f"{start} takes LSTMParams, got {type(params).__name__}: use another")
    dtype = compute_dtype(xs, *params)
    if dtype != jnp.float32:
        raise ValueError(f"{start} computes in float32, xs and params give {dtype}")
    if masks.entered is not None:
        raise ValueError(
            f"{start} does not support resets, got resets of shape {masks.entered.shape}"
        )
    if keep != "gates":
        raise ValueError(
            f"{start} keeps its own residuals: save must be 'gates' or a number, got {keep!r}"
        )
    if not all(isinstance(size, int) for size in (*xs.shape, *params.weight_hh.shape)):
        raise ValueError(f"{start} needs sizes that are known while tracing, got xs of {xs.shape}")


@jax.custom_jvp
def _run(operands: Operands, lengths: Int[Array, "*batch"]) -> tuple[LSTMState, Array]:
    return _run_forward(operands, lengths)[:2]


@partial(_run.defjvp, symbolic_zeros=True)
def _run_jvp(primals: tuple, moves: tuple) -> tuple:
    operands, lengths = primals
    state, hs, reserve = _run_forward(operands, lengths)

    def fill(tangent: Any, primal: Array) -> Array:
        return jnp.zeros_like(primal) if isinstance(tangent, SymbolicZero) else tangent

    moving = jax.tree.map(fill, moves[0], operands, is_leaf=lambda m: isinstance(m, SymbolicZero))
    # Weights that stand still are no operand: under `vmap` each example would have its gradient.
    still = isinstance(moves[0].weights, SymbolicZero)
    if still:
        moving = moving._replace(weights=None)

    def forward_mode(operands: Operands, lengths: Array, hs: Array, *rest: Any) -> Any:
        reason = "has no forward mode: jvp, jacfwd, linearize"
        return unsupported(NAME, reason, (operands, lengths, hs, rest), (operands.state, hs))

    def backward(*args: Any) -> Operands:
        d_operands = _backward(*args)
        return d_operands._replace(weights=None) if still else d_operands

    moved = over_time(
        same_everywhere(forward_mode),
        (operands, lengths, hs, reserve),
        (OPERAND_AXES, FIRST, AFTER_TIME, BatchAxis.OPAQUE),
        RESULT_AXES,
        operands=moving,
        operand_axes=OPERAND_AXES._replace(weights=None) if still else OPERAND_AXES,
        transpose=_on_cuda(backward),
    )
    return (state, hs), moved


def _run_forward(operands: Operands, lengths: Array) -> tuple[LSTMState, Array, Array]:
    try:
        jax.eval_shape(_forward, operands, lengths)
    except AttributeError as problem:  # the plugin has the sizes of cuDNN's reserve space
        raise ValueError(
            f"implementation={NAME!r} needs a CUDA GPU and the plugin of jax for it, "
            f"jlstm[cuda12] or jlstm[cuda13]: {problem}"
        ) from problem
    except NotImplementedError as problem:  # a matmul precision that cuDNN does not have
        raise ValueError(f"implementation={NAME!r}: {problem}") from problem
    return over_time(
        _on_cuda(_forward),
        (operands, lengths),
        (OPERAND_AXES, FIRST),
        (*RESULT_AXES, BatchAxis.OPAQUE),
    )


def _on_cuda(function: Callable) -> Lowerings:
    """The function on CUDA, and an error elsewhere."""

    def elsewhere(*args: Any) -> Any:
        return unsupported(NAME, ELSEWHERE, args, jax.eval_shape(function, *args))

    return Lowerings(reference=elsewhere, cpu=elsewhere, default=elsewhere, cuda=function)


def _forward(operands: Operands, lengths: Array) -> tuple[LSTMState, Array, Array]:
    """`(state, hs, reserve)` for any number of batch axes; `reserve` is for the backward call."""
    from jax.experimental import rnn

    weights, (h, c), xs = operands
    (ys, h_out, c_out), saved = rnn.lstm_fwd(
        _batch_first(xs), _layer(h), _layer(c), weights, lengths.reshape(-1), **_sizes(xs, h)
    )
    state = LSTMState(h_out.reshape(h.shape), c_out.reshape(c.shape))
    return state, _time_first(ys, h), saved[-1]


def _backward(
    operands: Operands, lengths: Array, hs: Array, reserve: Array, cotangents: tuple
) -> Operands:
    """The cotangents of the operands, from those of `(state, hs)`."""
    from jax.experimental import rnn

    weights, (h, c), xs = operands
    d_state, d_hs = cotangents
    saved = (
        _batch_first(xs), _layer(h), _layer(c), weights, lengths.reshape(-1), _batch_first(hs),
        reserve,
    )  # fmt: skip
    gradients = (_batch_first(d_hs), _layer(d_state.h), _layer(d_state.c))
    sizes = tuple(_sizes(xs, h).values())
    d_xs, d_h, d_c, d_weights, _ = rnn.lstm_bwd(*sizes, residuals=saved, gradients=gradients)
    d_state = LSTMState(d_h.reshape(h.shape), d_c.reshape(c.shape))
    return Operands(d_weights, d_state, _time_first(d_xs, h))


def _sizes(xs: Array, h: Array) -> dict[str, Any]:
    """The settings of `jax.experimental.rnn`, in its order."""
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
