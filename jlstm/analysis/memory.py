"""The share of the cell that later steps retain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jlstm.checks.calls import check_masks
from jlstm.checks.options import check_index, check_reverse, check_trace
from jlstm.masks import segment_entries, select, valid_steps

if TYPE_CHECKING:
    from jlstm.types import Array, Bool, Float, Int, LSTMTrace


def memory_kept(
    trace: LSTMTrace,
    step: int,
    *,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    reverse: bool = False,
) -> Float[Array, "time *batch hidden"]:
    """The share of the cell after one step that each later step retains.

        kept[t] = f[step + 1] * f[step + 2] * ... * f[t]

    The cell is a sum, `c' = f * c + i * g`, and `kept` is the factor of its value after `step`
    (Gers et al. 2000): `c[t] = kept[t] * c[step] +` what was stored since. The effect of that value
    on later gates is not included; `gradient_norms` includes it.

    Args:
      trace: a trace of `lstm_trace`, or of one direction of a layer of `stack_trace`.
      step: the earlier step, in `[0, time)`. All pairs of steps are `(time, time, *batch, hidden)`,
        4 GB at 1,000 steps and 1,000 units: take one step at a time, or `jax.vmap` over a few.
      lengths: those of the traced call. After a padded `step` nothing is kept.
      resets: those of the traced call, which a trace does not include: a replaced cell keeps
        nothing. For packed sequences, the `resets` of the packing.
      reverse: True for the trace of a layer that runs from the last step to the first.

    Returns:
      Numbers in [0, 1]: 1 at `step` itself, 0 before it and at padded steps.

    Raises:
      ValueError: a step out of range, lengths or resets with other axes.
      TypeError: an argument that is not the trace of an LSTM.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5, forget_bias=2.0)
      >>> _, _, trace = jlstm.lstm_trace(params, None, jax.numpy.zeros((7, 3)))
      >>> kept = jlstm.memory_kept(trace, 2)  # sigmoid(2) = 0.881 a step
      >>> [round(float(share), 3) for share in kept[:, 0]]
      [0.0, 0.0, 1.0, 0.881, 0.776, 0.683, 0.602]
    """
    check_trace(trace)
    time = np.shape(trace.f)[0]
    check_index("step", step, time, "the steps of trace")
    f = kept_in_steps(trace, lengths, resets, reverse)
    t = lax.expand_dims(jnp.arange(time), range(1, f.ndim))
    later = t < step if reverse else t > step
    kept = lax.cumprod(jnp.where(later, f, 1), reverse=bool(reverse))
    included = later | (t == step)
    if lengths is not None:
        valid = valid_steps(time, lengths)[..., None]
        included = included & valid & valid[step][None]
    return jnp.where(included, kept, 0)


def kept_in_steps(
    trace: LSTMTrace,
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reverse: bool,
) -> Float[Array, "time *batch hidden"]:
    """The factor of the cell at each step: the forget gate, or 0 at a reset."""
    check_trace(trace)
    check_reverse(reverse)
    f = jnp.asarray(trace.f)
    for name, batch in check_masks(f, lengths, resets).items():
        if batch != f.shape[1:-1]:
            raise ValueError(f"{name} has batch axes {batch}, trace has {f.shape[1:-1]}")
    lengths, resets = jax.tree.map(jnp.asarray, (lengths, resets))
    if resets is not None:
        f = jnp.where(segment_entries(resets, lengths, bool(reverse))[..., None], 0, f)
    return f if lengths is None else select(valid_steps(f.shape[0], lengths), f, jnp.zeros_like(f))
