"""Flax: weights of the cells of linen and of NNX. Imports no flax."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jlstm.cells.gru import GRUParams
from jlstm.cells.rnn import RNNParams
from jlstm.interop.arrays import check_widths, directions
from jlstm.interop.flax.cells import (
    DIRECTIONS,
    by_gate,
    find_layers,
    fused,
    read_layer,
    refuse_weight_norm,
)
from jlstm.interop.flax.modules import (
    check_linen,
    is_linen,
    is_nnx,
    linen_params,
    nnx_params,
)
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jaxtyping import PyTree

KINDS = (LSTMParams, GRUParams, RNNParams)


def from_flax(params: Any, module: Any = None) -> tuple[PyTree, ...]:
    """The layers of cells of Flax: exact.

    Params alone do not tell the settings of a cell or of the modules around it: `gate_fn`,
    `activation_fn`, `residual`, `carry_init`, `reverse`, `merge_fn`. Of a module they are checked,
    and one under which it computes otherwise is refused. Others, such as `time_major`, `dtype` and
    `param_dtype`, are no part of the weights.

    Args:
      params: of linen `variables["params"]` of an `LSTMCell`, `OptimizedLSTMCell`, `GRUCell` or
        `SimpleCell`, of an `RNN` or a `Bidirectional` around it, of a module of `jlstm.linen`, or
        of a whole model with one of these in it; a bound module. Of NNX `nnx.state(module)`, or its
        `nnx.to_pure_dict`, or the module itself, of the same kinds. For several layers a list.
      module: the module of linen that the params are of, or a list of these, to check its settings.

    Returns:
      A tuple of layers, `LSTMParams`, `GRUParams` or `RNNParams`, or `BiLSTMParams` of two.

    Raises:
      ValueError: no layer in the params, or several (which are listed); names that are missing or
        too many, shapes that do not fit, a setting under which the module computes otherwise.
      TypeError: no such mapping, or arrays that are not floating point.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8,))
      >>> cell = jlstm.interop.to_flax(layers)[0]  # or nn.LSTMCell(8).init(...)["params"]
      >>> sorted(cell), cell["if"]["kernel"].shape
      (['hf', 'hg', 'hi', 'ho', 'if', 'ig', 'ii', 'io'], (3, 8))
      >>> jlstm.interop.from_flax(cell)[0].weight_ih.shape
      (3, 32)
    """
    if isinstance(params, Mapping) or is_linen(params) or is_nnx(params):
        named, modules = [("params", params)], [module]
    elif isinstance(params, Sequence) and params:
        named = [(f"params[{k}]", layer) for k, layer in enumerate(params)]
        modules = [None] * len(named) if module is None else list(module)
    else:
        raise TypeError(f"params must be a dict of a cell, or a list of them; got {params!r:.60}")
    if len(modules) != len(named):
        raise ValueError(f"module holds {len(modules)} modules, params {len(named)} layers")
    layers = tuple(_layer(*part, of) for part, of in zip(named, modules, strict=True))
    check_widths(layers)
    return layers


def to_flax(layers: Sequence[PyTree]) -> list[dict]:
    """The params of linen's cells, one dict a layer: exact.

    `LSTMParams` give that of `LSTMCell`, `OptimizedLSTMCell` and `jlstm.linen.LSTM`, `GRUParams` of
    `GRUCell` and `jlstm.linen.GRU`, `RNNParams` of `SimpleCell`; a bidirectional layer gives that
    of `nn.Bidirectional(nn.RNN(cell), nn.RNN(cell))`.

    Raises:
      TypeError: a layer that Flax has no place for.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4), bidirectional=True)
      >>> sorted(jlstm.interop.to_flax(layers)[1])
      ['backward_rnn', 'forward_rnn']
    """
    return _each_layer(layers, by_gate)


def to_nnx(layers: Sequence[PyTree], optimized: bool = True) -> list[dict]:
    """The pure dict of a cell of NNX, one a layer, for `nnx.update(cell, ...)`: exact.

    A bidirectional layer gives that of `nnx.Bidirectional(nnx.RNN(cell), nnx.RNN(cell))`.

    Args:
      layers: a stack of `LSTMParams`, `GRUParams` or `RNNParams`, in one direction or both.
      optimized: whether the cell of an LSTM is `nnx.OptimizedLSTMCell`, or else `nnx.LSTMCell`.

    Raises:
      TypeError: a layer that Flax has no place for. ValueError: a GRU whose `bias_hn` is not zero,
        which `nnx.GRUCell` does not have.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8,))
      >>> jlstm.interop.to_nnx(layers)[0]["dense_h"]["kernel"].shape
      (8, 32)
    """

    def cell(params: PyTree) -> dict:
        if isinstance(params, GRUParams) and bool((params.bias_hn != 0).any()):
            raise ValueError(
                "bias_hn is not zero, and nnx.GRUCell has no place for it; linen's GRUCell has: "
                "to_flax"
            )
        if optimized or not isinstance(params, LSTMParams):
            return fused(params)
        # NNX calls the forget gate's `if_`, because `if` is a word of Python.
        return {"if_" if name == "if" else name: part for name, part in by_gate(params).items()}

    return _each_layer(layers, cell)


def _each_layer(layers: Sequence[PyTree], cell: Callable[[PyTree], dict]) -> list[dict]:
    return [_both({"cell": cell(p)} for p in found) if len(found) == 2 else cell(found[0])
            for _, found in directions(layers, "Flax", KINDS)]  # fmt: skip


def _both(found: Any) -> dict:
    return dict(zip(DIRECTIONS, found, strict=True))


def _layer(name: str, params: Any, module: Any) -> PyTree:
    if module is not None:
        check_linen(name.replace("params", "module", 1), module)
    if is_nnx(params):
        params = nnx_params(name, params)
    elif is_linen(params):
        check_linen(name, params)
        params = linen_params(params)
    if not isinstance(params, Mapping):
        raise TypeError(f"{name} must be a dict of a cell, got {type(params).__name__}")
    layers = list(find_layers(name, params))
    if not layers:
        held = ", ".join(map(str, list(params)[:6])) or "nothing"
        raise ValueError(f"{name} holds no cell of Flax that is known, but {held}")
    if len(layers) > 1:
        places = ", ".join(place for place, _ in layers[:6])
        raise ValueError(
            f"{name} holds {len(layers)} layers: give one, or a list in their order, of {places} "
            "(the two of a Bidirectional one by one, for jlstm.BiLSTMParams)"
        )
    refuse_weight_norm(name, params, layers[0][1])
    return read_layer(*layers[0])
