"""Flax: weights of the cells of linen and of NNX. Does not import flax."""

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
    from jlstm.types import PyTree

SUPPORTED = (LSTMParams, GRUParams, RNNParams)


def from_flax(params: Any, module: Any = None) -> tuple[PyTree, ...]:
    """Convert the params of Flax's cells to layers: exact.

    Params do not include the settings of a cell or of the modules around it: `gate_fn`,
    `activation_fn`, `residual`, `carry_init`, `reverse`, `merge_fn`. With a module they are
    checked, and a setting that changes the computation raises an error. Other settings, such as
    `time_major`, `dtype` and `param_dtype`, do not affect the weights.

    Args:
      params: for linen the `variables["params"]` of an `LSTMCell`, `OptimizedLSTMCell`, `GRUCell`
        or `SimpleCell`, of an `RNN` or a `Bidirectional` around it, of a module of `jlstm.linen`,
        or of a model with one of these in it, or a bound module; for NNX `nnx.state(module)`, its
        `nnx.to_pure_dict`, or the module itself. A list for several layers.
      module: the linen module of the params, or a list of them, whose settings are checked.

    Returns:
      A tuple of `LSTMParams`, `GRUParams` or `RNNParams`, or of `BiLSTMParams` with two of them.

    Raises:
      ValueError: no layer in the params, or several (which are listed); missing or unknown names,
        shapes that do not fit, a setting that changes the computation.
      TypeError: an argument that is not a mapping, or arrays that are not floating point.

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
    """Convert layers to the params of linen's cells, one dict per layer: exact.

    `LSTMParams` become params of `LSTMCell`, `OptimizedLSTMCell` and `jlstm.linen.LSTM`,
    `GRUParams` those of `GRUCell` and `jlstm.linen.GRU`, `RNNParams` those of `SimpleCell`; a
    bidirectional layer becomes those of `nn.Bidirectional(nn.RNN(cell), nn.RNN(cell))`.

    Raises:
      TypeError: a layer that Flax cannot represent.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4), bidirectional=True)
      >>> sorted(jlstm.interop.to_flax(layers)[1])
      ['backward_rnn', 'forward_rnn']
    """
    return _each_layer(layers, by_gate)


def to_nnx(layers: Sequence[PyTree], optimized: bool = True) -> list[dict]:
    """Convert layers to pure dicts of NNX cells, one per layer, for `nnx.update`: exact.

    A bidirectional layer becomes that of `nnx.Bidirectional(nnx.RNN(cell), nnx.RNN(cell))`.

    Args:
      layers: a stack of `LSTMParams`, `GRUParams` or `RNNParams`, in one direction or both.
      optimized: True for the params of `nnx.OptimizedLSTMCell`, False for `nnx.LSTMCell`.

    Raises:
      TypeError: a layer that Flax cannot represent. ValueError: a GRU whose `bias_hn` is not zero,
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
                "bias_hn is not zero, which nnx.GRUCell cannot represent; linen's GRUCell can: "
                "to_flax"
            )
        if optimized or not isinstance(params, LSTMParams):
            return fused(params)
        # NNX names the forget gate `if_`, because `if` is a keyword of Python.
        return {"if_" if name == "if" else name: part for name, part in by_gate(params).items()}

    return _each_layer(layers, cell)


def _each_layer(layers: Sequence[PyTree], cell: Callable[[PyTree], dict]) -> list[dict]:
    return [_both({"cell": cell(p)} for p in pair) if len(pair) == 2 else cell(pair[0])
            for _, pair in directions(layers, "Flax", SUPPORTED)]  # fmt: skip


def _both(cells: Any) -> dict:
    return dict(zip(DIRECTIONS, cells, strict=True))


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
        raise ValueError(f"{name} holds no known cell of Flax, but {held}")
    if len(layers) > 1:
        places = ", ".join(place for place, _ in layers[:6])
        raise ValueError(
            f"{name} holds {len(layers)} layers: pass one, or a list in their order, of {places} "
            "(for a Bidirectional convert both, and pass the two to jlstm.BiLSTMParams)"
        )
    refuse_weight_norm(name, params, layers[0][1])
    return read_layer(*layers[0])
