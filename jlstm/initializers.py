"""Initialisers of weights and biases: functions `(key, shape, dtype) -> array`, as in JAX.

Every initialiser of `jax.nn.initializers` can be used as well. Weights are drawn gate by gate with
shape `(inputs, hidden)`, the bias at once with shape `(4*hidden,)`, gates i, f, g, o.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp

from jlstm.checks.options import check_key
from jlstm.checks.params import check_params, check_sizes

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, LayerType, PRNGKeyArray

__all__ = [
    "Initializer", "chrono", "forget_gate_bias", "glorot_uniform", "orthogonal", "torch_bias",
    "torch_uniform", "zeros",
]  # fmt: skip

Initializer: TypeAlias = Callable[[Any, tuple[int, ...], Any], Any]


zeros = jax.nn.initializers.zeros
"""Zeros, the usual bias of a cell without a forget gate."""


# The next two are functions because those that JAX makes cannot be pickled.


def glorot_uniform(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Uniform with variance `2 / (inputs + hidden)` (Glorot and Bengio 2010, eq. 16)."""
    return jax.nn.initializers.glorot_uniform()(key, shape, dtype)


def orthogonal(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """A random orthogonal matrix (Saxe et al. 2014): `h W` has the norm of `h`."""
    return jax.nn.initializers.orthogonal()(key, shape, dtype)


def torch_uniform(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Uniform in `±1/sqrt(hidden)`, as `torch.nn.LSTM` draws its weights."""
    bound = shape[-1] ** -0.5
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def torch_bias(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """The sum of two draws uniform in `±1/sqrt(hidden)`, as `torch.nn.LSTM` has two biases."""
    bound = (shape[-1] // 4) ** -0.5
    return jax.random.uniform(key, (2, *shape), dtype, -bound, bound).sum(0)


def forget_gate_bias(value: float) -> Initializer:
    """A bias of `value` for the forget gate, and of 0 for the gates i, g, o."""
    return partial(_forget_gate_bias, value)


def _forget_gate_bias(
    value: float, key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike
) -> Array:
    del key
    gate = jnp.arange(shape[-1]) // (shape[-1] // 4)
    return jnp.where(gate == 1, value, 0.0).astype(dtype)


def lstm_bias(forget_bias: float, bias_init: Initializer | None) -> Initializer:
    """The initialiser of the bias of all four gates; the arguments exclude each other."""
    if bias_init is None:
        return forget_gate_bias(forget_bias)
    if forget_bias != 1.0:
        raise ValueError(
            f"forget_bias={forget_bias} and bias_init were both given; "
            "bias_init draws the whole bias, so write the forget bias there"
        )
    return bias_init


def chrono(max_length: float) -> Initializer:
    """A bias for memories of up to `max_length` steps (Tallec and Ollivier 2018, eq. 16).

    `b_f = log(u)` with `u` uniform in `[1, max_length - 1]`, `b_i = -b_f`, and 0 for the other
    gates: a unit with forget gate `u / (1 + u)` forgets over about `1 + u` steps.

    Args:
      max_length: the longest dependency expected, in steps; above 2.

    Raises:
      ValueError: `max_length` of 2 or less.

    Example:
      >>> import jax, jlstm
      >>> from jlstm.initializers import chrono
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5, bias_init=chrono(100))
      >>> bool((params.bias[:5] == -params.bias[5:10]).all())
      True
    """
    if not max_length > 2:
        raise ValueError(f"max_length must be above 2 steps, got {max_length}")

    return partial(_chrono, max_length)


def _chrono(
    max_length: float, key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike
) -> Array:
    hidden = shape[-1] // 4
    bias_f = jnp.log(jax.random.uniform(key, (hidden,), dtype, 1.0, max_length - 1.0))
    zeros = jnp.zeros_like(bias_f)
    return jnp.concatenate([-bias_f, bias_f, zeros, zeros])


def init_layer(
    layer_type: LayerType,
    key: PRNGKeyArray,
    input_size: int,
    hidden_size: int,
    *,
    output_size: int | None = None,
    weight_init: Initializer,
    recurrent_init: Initializer,
    bias_init: Initializer,
    dtype: DTypeLike,
    **others: Callable[..., Array],
) -> Any:
    """Draw the weights of a layer of any type, in float32, and cast them to `dtype`.

    Each gate's matrix is drawn separately. `others` make the remaining weights, called as
    `(shape, dtype)`.
    """
    check_sizes(dtype, input_size=input_size, hidden_size=hidden_size)
    check_key(key)
    output_size = hidden_size if output_size is None else output_size
    sizes = {"input": input_size, "hidden": hidden_size, "output": output_size}
    gates = len(layer_type.gates) or 1
    key_ih, key_hh, key_bias = jax.random.split(key, 3)

    def gate_by_gate(init: Initializer, key: PRNGKeyArray, inputs: int) -> Array:
        keys = jax.random.split(key, gates)
        return jnp.concatenate([init(k, (inputs, hidden_size), jnp.float32) for k in keys], axis=-1)

    params = layer_type.params(
        weight_ih=gate_by_gate(weight_init, key_ih, input_size),
        weight_hh=gate_by_gate(recurrent_init, key_hh, output_size),
        bias=bias_init(key_bias, (gates * hidden_size,), jnp.float32),
        **{
            name: init(_shape(layer_type.shapes[name], sizes), jnp.float32)
            for name, init in others.items()
        },
    )
    check_params(params, layer_type.params, layer_type.shapes)
    return jax.tree.map(lambda weight: weight.astype(dtype), params)


def _shape(axes: tuple[str, ...], sizes: dict[str, int]) -> tuple[int, ...]:
    """The shape of `("hidden", "4*hidden")`, given the sizes by name."""
    factors = (axis.rpartition("*") for axis in axes)
    return tuple(int(times or 1) * sizes[name] for times, _, name in factors)
