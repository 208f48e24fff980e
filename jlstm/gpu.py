"""Functions for GPUs: compiler options for loops, both directions of a layer in one loop."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jlstm.checks.values import described
from jlstm.masks import reverse_within_lengths
from jlstm.sequence import lstm_scan
from jlstm.types import BiLSTMParams, BiLSTMState

if TYPE_CHECKING:
    from jlstm.types import Array, Bool, Float, Int

__all__ = ["COMPILER_OPTIONS", "bidirectional_scan"]

COMPILER_OPTIONS: Mapping[str, str | int] = MappingProxyType(
    {
        # XLA's own list, and the loops. The list replaces the default, it does not add to it.
        "xla_gpu_enable_command_buffer": (
            "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE"
        ),
        "xla_gpu_graph_min_graph_size": 1,  # a loop may stand alone
    }
)
"""For `jax.jit(..., compiler_options=jlstm.gpu.COMPILER_OPTIONS)`: loops become CUDA graphs.

A loop over time on a GPU is launched step by step from the host, at 8 to 10 microseconds a step
however small the layer is. With these options XLA may record the whole loop as one CUDA graph,
which runs on the device alone. They belong to the outermost `jit`, are known to XLA of jax 0.10 to
0.12, and change nothing on CPU. What they gain was not measured yet; see `docs/gpu.md`.
"""


def bidirectional_scan(
    layer: BiLSTMParams,
    state: BiLSTMState | None,
    xs: Float[Array, "time *batch input"],
    *,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    reset_state: BiLSTMState | None = None,
    save: str | int = "gates",
    implementation: str | None = None,
) -> tuple[BiLSTMState, Float[Array, "time *batch output"]]:
    """One layer in both directions: what `stack_scan` gives of it, by one loop in place of two.

    The second direction reads each sequence turned around, so that both are `lstm_scan` under
    `vmap` over two sets of weights: on GPU and TPU one loop of twice the width, on CPU two loops
    one after the other, which is slower than `stack_scan` there. On a GPU it was not measured yet.

    Args:
      layer: the weights of both directions, of equal sizes and dtypes.
      state: the states that the directions start from; None is zeros. The backward one's enters
        at the last valid step.
      xs: the inputs, `(time, *batch, input)`.
      lengths: valid steps of each sequence, as in `lstm_scan`.
      resets: where a new segment starts, as in `lstm_scan`.
      reset_state: the states at a reset; None is zeros.
      save: what is kept for the backward pass, as in `lstm_scan`.
      implementation: as in `lstm_scan`; it must be able to take several sets of weights.

    Returns:
      `(state, hs)`: the last state of each direction, and `[forward, backward]` on the last axis.

    Raises:
      TypeError: a layer of one direction. ValueError: directions of different sizes or dtypes;
      and what `lstm_scan` raises.

    Example:
      >>> import jax, jax.numpy as jnp, jlstm
      >>> (layer,) = jlstm.init_stack(jax.random.key(0), 3, (8,), bidirectional=True)
      >>> xs, lengths = jnp.ones((20, 4, 3)), jnp.array([20, 7, 0, 13])
      >>> state, hs = jlstm.gpu.bidirectional_scan(layer, None, xs, lengths=lengths)
      >>> (state,), wanted = jlstm.stack_scan((layer,), None, xs, lengths=lengths)
      >>> hs.shape, bool(jnp.allclose(hs, wanted, atol=1e-6))
      ((20, 4, 16), True)
    """
    if not isinstance(layer, BiLSTMParams) or None in layer:
        raise TypeError(f"layer must be BiLSTMParams of two directions, got {described(layer)}")
    there, back = (
        [f"{p.dtype}{list(jnp.shape(p))}" for p in jax.tree.leaves(params)] for params in layer
    )
    if type(layer.forward) is not type(layer.backward) or there != back:
        raise ValueError(f"layer must have directions of equal arrays, got {there} and {back}")

    def turn(a: Array) -> Array:
        if lengths is None:
            return a[::-1]
        return reverse_within_lengths(a, jnp.clip(jnp.asarray(lengths), 0, a.shape[0]))

    def run(params: Any, state: Any, xs: Array, resets: Any, reset_state: Any) -> tuple:
        options = {"lengths": lengths, "save": save, "implementation": implementation}
        return lstm_scan(params, state, xs, resets=resets, reset_state=reset_state, **options)

    xs = jnp.asarray(xs)
    if resets is not None:
        # Backward, the state is replaced after the step that resets: before the next one there.
        later = turn(jnp.asarray(resets))
        later = jnp.concatenate([jnp.zeros_like(later[:1]), later[:-1]])
        resets = jnp.stack([resets, later])
    states, hs = jax.vmap(run)(
        _joined(layer), _joined(state), jnp.stack([xs, turn(xs)]), resets, _joined(reset_state)
    )
    state = BiLSTMState(*(jax.tree.map(lambda a, d=d: a[d], states) for d in range(2)))
    return state, jnp.concatenate([hs[0], turn(hs[1])], axis=-1)


def _joined(pair: Any) -> Any:
    """Both directions along a first axis."""
    if pair is None:
        return None
    return jax.tree.map(lambda *a: jnp.stack(a), *pair)
