"""Flax: weights of `LSTMCell` and `OptimizedLSTMCell`, of linen and of NNX. Imports no flax."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jlstm.interop.arrays import as_array, as_layer, directions
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

GATES = "ifgo"


def from_flax(params: Any) -> tuple[PyTree, ...]:
    """The layers of cells of Flax: exact.

    Args:
      params: of a linen `LSTMCell` or `OptimizedLSTMCell` the dict `variables["params"]`, or that
        of an `RNN` or a `Bidirectional` around it; of the NNX cells `nnx.state(cell)`, or its
        `nnx.to_pure_dict`; for several layers a list of these.

    Returns:
      A tuple of layers, `LSTMParams` or `BiLSTMParams` of two.

    Raises:
      ValueError: names that are missing, shapes that do not fit. TypeError: no such mapping, or
        arrays that are not floating point.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8,))
      >>> cell = jlstm.interop.to_flax(layers)[0]  # or nn.LSTMCell(8).init(...)["params"]
      >>> sorted(cell), cell["if"]["kernel"].shape
      (['hf', 'hg', 'hi', 'ho', 'if', 'ig', 'ii', 'io'], (3, 8))
      >>> jlstm.interop.from_flax(cell)[0].weight_ih.shape
      (3, 32)
    """
    if isinstance(params, Mapping):
        params = [params]
    if not isinstance(params, Sequence) or not params:
        raise TypeError(f"params must be a dict of a cell, or a list of them; got {params!r:.60}")
    return tuple(_layer(f"params[{k}]", layer) for k, layer in enumerate(params))


def to_flax(layers: Sequence[PyTree]) -> list[dict]:
    """The params of linen's `LSTMCell` and `OptimizedLSTMCell`, one dict a layer: exact.

    A bidirectional layer gives that of `nn.Bidirectional(nn.RNN(cell), nn.RNN(cell))`.

    Raises:
      TypeError: a layer that Flax has no place for.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4), bidirectional=True)
      >>> sorted(jlstm.interop.to_flax(layers)[1])
      ['backward_rnn', 'forward_rnn']
    """
    return _each_layer(layers, _by_gate)


def to_nnx(layers: Sequence[PyTree], optimized: bool = True) -> list[dict]:
    """The pure dict of an LSTM cell of NNX, one a layer, for `nnx.update(cell, ...)`: exact.

    A bidirectional layer gives that of `nnx.Bidirectional(nnx.RNN(cell), nnx.RNN(cell))`.

    Args:
      layers: a stack of `LSTMParams`, in one direction or both.
      optimized: whether the cell is `nnx.OptimizedLSTMCell`, or else `nnx.LSTMCell`.

    Raises:
      TypeError: a layer that Flax has no place for.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8,))
      >>> jlstm.interop.to_nnx(layers)[0]["dense_h"]["kernel"].shape
      (8, 32)
    """

    def cell(params: LSTMParams) -> dict:
        if optimized:
            return {
                "dense_i": {"kernel": params.weight_ih},
                "dense_h": {"kernel": params.weight_hh, "bias": params.bias},
            }
        # NNX calls the forget gate's `if_`, because `if` is a word of Python.
        return {"if_" if name == "if" else name: part for name, part in _by_gate(params).items()}

    return _each_layer(layers, cell)


def _by_gate(params: LSTMParams) -> dict:
    gates = {}
    split = (jnp.split(a, 4, axis=-1) for a in params)
    for gate, kernel_x, kernel_h, bias in zip(GATES, *split, strict=True):
        gates["i" + gate] = {"kernel": kernel_x}
        gates["h" + gate] = {"kernel": kernel_h, "bias": bias}
    return gates


def _each_layer(layers: Sequence[PyTree], cell: Callable[[LSTMParams], dict]) -> list[dict]:
    return [_both({"cell": cell(p)} for p in found) if len(found) == 2 else cell(found[0])
            for _, found in directions(layers, "Flax")]  # fmt: skip


def _both(found: Any) -> dict:
    return dict(zip(("forward_rnn", "backward_rnn"), found, strict=True))


def _layer(name: str, params: Any) -> PyTree:
    if not isinstance(params, Mapping):
        raise TypeError(f"{name} must be a dict of a cell, got {type(params).__name__}")
    if "forward_rnn" in params:
        both = ("forward_rnn", "backward_rnn")
        return as_layer([_cell(f"{name}[{part!r}]", _get(name, params, part)) for part in both])
    return as_layer([_cell(name, params)])


def _cell(name: str, params: Mapping) -> LSTMParams:
    if "cell" in params:  # an RNN's
        return _cell(f"{name}['cell']", params["cell"])
    if "dense_h" in params:
        return LSTMParams(
            _get(name, params, "dense_i", "kernel"), _get(name, params, "dense_h", "kernel"),
            _get(name, params, "dense_h", "bias"),
        )  # fmt: skip

    def join(part: str, what: str) -> Array:
        names = ["if_" if part + g == "if" and "if_" in params else part + g for g in GATES]
        return jnp.concatenate([_get(name, params, n, what) for n in names], axis=-1)

    return LSTMParams(join("i", "kernel"), join("h", "kernel"), join("h", "bias"))


def _get(name: str, params: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(params, Mapping) or key not in params:
            held = ", ".join(map(str, params)) if isinstance(params, Mapping) else "no names"
            raise ValueError(
                f"{name} has no {key!r}, as an LSTM cell of Flax has; it holds {held}. Give the "
                "dict of the cell, or of the RNN around it"
            )
        params, name = params[key], f"{name}[{key!r}]"
    return params if isinstance(params, Mapping) else as_array(name, params)
