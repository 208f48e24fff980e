"""Params of Flax's cells, of linen and of NNX, and their paths in the params of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jlstm.cells.gru import GRUParams
from jlstm.cells.rnn import RNNParams
from jlstm.interop.arrays import as_array, as_layer
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jlstm.types import Array, PyTree

DIRECTIONS = ("forward_rnn", "backward_rnn")
FUSED = {"dense_i", "dense_h"}  # NNX, all gates in one kernel
# The parts of a cell with one kernel per gate; True for those with a bias.
LSTM = {part + gate: part == "h" for part in "ih" for gate in "ifgo"}
GRU = {"ir": True, "iz": True, "in": True, "hr": False, "hz": False, "hn": True}
SIMPLE = {"i": True, "h": False}
OTHERS = {"MGUCell": {"if", "in", "hf", "hn"}, "ConvLSTMCell": {"ih", "hh"}}


def find_layers(name: str, params: Any) -> Iterator[tuple[str, Any]]:
    """The path and the params of every cell, and of every `Bidirectional` with its two cells."""
    if isinstance(params, list | tuple):
        params = dict(enumerate(params))
    if not isinstance(params, Mapping):
        return
    if _kind(params) or DIRECTIONS[0] in params:
        yield name, params
        return
    for key, part in params.items():
        yield from find_layers(f"{name}[{key!r}]", part)


def read_layer(name: str, params: Mapping) -> PyTree:
    """The layer with the params of a cell or of a `Bidirectional`.

    Raises:
      ValueError: params that are missing, too many or of another rank, an unsupported cell.
    """
    if DIRECTIONS[0] not in params:
        return as_layer([_cell(name, params)])
    cells = []
    for direction in DIRECTIONS:
        place = f"{name}[{direction!r}]"
        inner = list(find_layers(place, _get(name, params, direction)))
        if len(inner) != 1:
            raise ValueError(f"{place} holds {len(inner)} cells, but a direction has one")
        cells.append(_cell(*inner[0]))
    return as_layer(cells)


def refuse_weight_norm(name: str, params: Any, cell: Mapping) -> None:
    """Check for scales of linen's `WeightNorm`, which lie beside the cell under paths as names."""
    if not isinstance(params, Mapping):
        return
    for key, part in params.items():
        if "/" in str(key) and set(str(key).split("/")) & _names(cell):
            raise ValueError(
                f"{name} holds {key!r}, a scale of nn.WeightNorm: multiply it into the kernel first"
            )
        refuse_weight_norm(f"{name}[{key!r}]", part, cell)


def by_gate(params: PyTree) -> dict:
    """The params of linen's cell, with one kernel per gate."""
    if isinstance(params, RNNParams):
        return {
            "i": {"kernel": params.weight_ih, "bias": params.bias},
            "h": {"kernel": params.weight_hh},
        }
    gates = "rzn" if isinstance(params, GRUParams) else "ifgo"
    cell: dict[str, dict] = {}
    split = (jnp.split(a, len(gates), axis=-1) for a in params[:3])
    for gate, kernel_x, kernel_h, bias in zip(gates, *split, strict=True):
        cell["i" + gate] = {"kernel": kernel_x}
        cell["h" + gate] = {"kernel": kernel_h}
        cell[("i" if isinstance(params, GRUParams) else "h") + gate]["bias"] = bias
    if isinstance(params, GRUParams):
        cell["hn"]["bias"] = params.bias_hn
    return cell


def fused(params: PyTree) -> dict:
    """The params of an NNX cell with all gates in one kernel."""
    dense_i, dense_h = {"kernel": params.weight_ih}, {"kernel": params.weight_hh}
    (dense_h if isinstance(params, LSTMParams) else dense_i)["bias"] = params.bias
    return {"dense_i": dense_i, "dense_h": dense_h}


def _names(params: Mapping) -> set[str]:
    return {str(key).removesuffix("_") for key in params}  # NNX writes `if_`


def _kind(params: Mapping) -> str | None:
    names = _names(params)
    if names >= FUSED:
        return "fused"
    if names & {"ii", "hi"}:
        return "LSTM"
    if names & {"ir", "hr"}:
        return "GRU"
    if names >= set(SIMPLE) and all(isinstance(params[k], Mapping) and "kernel" in params[k]
                                    for k in SIMPLE):  # fmt: skip
        return "simple"
    return next((kind for kind, needed in OTHERS.items() if names >= needed), None)


def _cell(name: str, params: Mapping) -> PyTree:
    kind = _kind(params)
    if kind == "fused":
        return _of_fused(name, params)
    if kind == "simple":
        parts = _dense(name, params, SIMPLE)
        return RNNParams(parts["i"][0], parts["h"][0], parts["i"][1])
    if kind in ("LSTM", "GRU"):
        parts = _dense(name, params, LSTM if kind == "LSTM" else GRU)
        gates = "ifgo" if kind == "LSTM" else "rzn"
        part = "h" if kind == "LSTM" else "i"  # the part with the biases
        weight_ih, weight_hh = (
            jnp.concatenate([parts[p + g][0] for g in gates], axis=-1) for p in "ih"
        )
        bias = jnp.concatenate([parts[part + g][1] for g in gates])
        if kind == "LSTM":
            return LSTMParams(weight_ih, weight_hh, bias)
        return GRUParams(weight_ih, weight_hh, bias, parts["hn"][1])
    raise ValueError(f"{name} is a {kind}, which is not supported")


def _of_fused(name: str, params: Mapping) -> PyTree:
    """A layer type by its sizes: an LSTM has its bias in `dense_h`, the others in `dense_i`."""
    lstm = "bias" in _get(name, params, "dense_h")
    parts = _dense(name, params, {"dense_i": not lstm, "dense_h": lstm})
    weight_ih, weight_hh = parts["dense_i"][0], parts["dense_h"][0]
    bias = parts["dense_h" if lstm else "dense_i"][1]
    if lstm:
        return LSTMParams(weight_ih, weight_hh, bias)
    hidden, gates = weight_hh.shape
    if gates == 3 * hidden:
        return GRUParams(weight_ih, weight_hh, bias, jnp.zeros(hidden, weight_hh.dtype))
    return RNNParams(weight_ih, weight_hh, bias)


def _dense(name: str, params: Mapping, biased: Mapping[str, bool]) -> dict[str, list[Array]]:
    """`[kernel]` or `[kernel, bias]` of each part, checked to be all that `params` holds."""
    keys = {str(key).removesuffix("_"): key for key in params}
    more = sorted(set(keys) - set(biased) - {"rngs"})
    if more:
        raise ValueError(
            f"{name} holds {', '.join(more)} beside the params of a cell of Flax: if it is not "
            "another cell, leave them out"
        )
    dense = {}
    for part, bias in biased.items():
        wanted = ("kernel", "bias") if bias else ("kernel",)
        place, held = f"{name}[{part!r}]", _get(name, params, keys.get(part, part))
        dense[part] = [as_array(f"{place}[{what!r}]", _get(place, held, what)) for what in wanted]
        if set(held) - set(wanted):
            raise ValueError(
                f"{place} holds {', '.join(map(str, held))}, but a cell of Flax has "
                f"{' and '.join(wanted)} only"
            )
        for what, array, rank in zip(wanted, dense[part], (2, 1), strict=False):
            if array.ndim > rank:
                raise ValueError(
                    f"{place}[{what!r}] has the shape {array.shape}, with {array.ndim - rank} more "
                    "axes than that of a cell, as nn.scan or nn.vmap over layers makes: pass one "
                    "layer, jax.tree.map(lambda a: a[k], params)"
                )
    return dense


def _get(name: str, params: Any, key: str) -> Any:
    if not isinstance(params, Mapping) or key not in params:
        held = ", ".join(map(str, params)) if isinstance(params, Mapping) else "no names"
        held = held or "nothing"
        raise ValueError(
            f"{name} has no {key!r}, as a cell of Flax has; it holds {held}. Pass the params of "
            "the cell, or of the RNN around it"
        )
    return params[key]
