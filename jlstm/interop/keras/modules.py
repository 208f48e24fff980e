"""Cells of Keras layers and models, with the settings checked that change the computation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell")
SEQUENCES = ("LSTM", "GRU", "SimpleRNN", "RNN")
RECURRENT = (*CELLS, *SEQUENCES, "Bidirectional", "StackedRNNCells")
ACTIVATIONS = {"activation": "tanh", "recurrent_activation": "sigmoid"}
# Layers that compute nothing in inference.
INERT = (
    "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout",
    "ActivityRegularization", "Identity", "InputLayer",
)  # fmt: skip


class Cell(NamedTuple):
    """The arrays of one direction of a layer, and their names in errors."""

    names: Sequence[str]
    arrays: Sequence[Any]  # kernel, recurrent kernel and perhaps bias
    reset_after: bool | None  # for a GRU, None if unknown


def is_module(value: Any) -> bool:
    """Return True for a layer, a cell or a model."""
    return hasattr(value, "get_weights")


def cells_of(name: str, module: Any) -> list[list[Cell]]:
    """The directions of each layer in a layer, a cell or a model of Keras.

    Raises:
      ValueError: a setting that changes the computation.
    """
    if hasattr(module, "layers") and not hasattr(module, "cells"):
        return [cells for part in _recurrent_layers(name, module) for cells in cells_of(*part)]
    kind = _kind(name, module)
    if kind == "Bidirectional":
        return [_both(name, module)]
    if kind in SEQUENCES:
        if module.go_backwards:
            raise ValueError(
                f"{name} has go_backwards=True; use a Bidirectional, or lstm_scan with reverse=True"
            )
        return [[cell] for cell in _cells(f"{name}.cell", module.cell)]
    return [[cell] for cell in _cells(name, module)]


def _both(name: str, module: Any) -> list[Cell]:
    """The two directions of a `Bidirectional`, with the settings of each checked."""
    if module.merge_mode != "concat":
        raise ValueError(f"{name} has merge_mode={module.merge_mode!r}; jlstm has 'concat'")
    both = []
    for attribute, backwards in (("forward_layer", False), ("backward_layer", True)):
        part, layer = f"{name}.{attribute}", getattr(module, attribute)
        if _kind(part, layer) not in SEQUENCES:
            raise ValueError(f"{part} is a {type(layer).__name__}, not a recurrent layer")
        if bool(layer.go_backwards) is not backwards:
            raise ValueError(f"{part} has go_backwards={layer.go_backwards}; jlstm has {backwards}")
        cells = _cells(f"{part}.cell", layer.cell)
        if len(cells) > 1:
            raise ValueError(
                f"{part} stacks {len(cells)} cells in each direction; jlstm concatenates both "
                "directions before the next layer"
            )
        both += cells
    return both


def _cells(name: str, cell: Any) -> list[Cell]:
    """A cell, or the cells that it stacks, with their settings checked."""
    kind = _kind(name, cell)
    if kind == "StackedRNNCells":
        parts = enumerate(cell.cells)
        return [inner for k, part in parts for inner in _cells(f"{name}.cells[{k}]", part)]
    if kind not in CELLS:
        raise ValueError(f"{name} is a {kind}, not a cell of an LSTM, a GRU or a simple RNN")
    for key, wanted in ACTIVATIONS.items():
        given = getattr(cell, key, None)
        if hasattr(cell, key) and not _is_function(given, wanted):
            given_name = getattr(given, "__name__", None) or type(given).__name__
            raise ValueError(f"{name} has {key}={given_name!r}; jlstm has {wanted!r}")
    if not hasattr(cell, "recurrent_kernel"):
        raise ValueError(f"{name} is not built and has no weights yet: call its layer once")
    arrays = {key: getattr(cell, key, None) for key in ("kernel", "recurrent_kernel", "bias")}
    arrays = {key: array for key, array in arrays.items() if array is not None}
    names = [f"{name}.{key}" for key in arrays]
    return [Cell(names, [_value(a) for a in arrays.values()], getattr(cell, "reset_after", None))]


def _value(array: Any) -> Any:
    """The value of a variable, with any backend."""
    return array.numpy() if hasattr(array, "numpy") else array


def _is_function(given: Any, name: str) -> bool:
    """Return True for the activation of that name of Keras itself."""
    return getattr(given, "__name__", "") == name and _is_of_keras(given)


def _is_of_keras(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).split(".")[0] in ("keras", "tf_keras")


def _kind(name: str, module: Any) -> str:
    """The class of a layer, checked to be of Keras itself; another may compute anything."""
    kind = type(module).__name__
    if not _is_of_keras(type(module)):
        raise ValueError(
            f"{name} is a {kind}, a class that is not of Keras and may compute something else: if "
            "it does not, pass its get_weights()"
        )
    if kind not in RECURRENT:
        raise ValueError(
            f"{name} is a {kind}, not an LSTM, GRU, SimpleRNN or a Bidirectional of one; pass its "
            "layers"
        )
    return kind


def _recurrent_layers(name: str, model: Any) -> list[tuple[str, Any]]:
    """The names and the recurrent layers of a model, checked to be one stack."""
    layers = list(_flat(model))
    places = [k for k, layer in enumerate(layers) if type(layer).__name__ in RECURRENT]
    if not places:
        held = ", ".join(type(layer).__name__ for layer in layers) or "nothing"
        raise ValueError(f"{name} holds no recurrent layer of Keras, but {held}")
    recurrent = [(f"{name}.{layers[k].name}", layers[k]) for k in places]
    listed = ", ".join(layers[k].name for k in places)
    first = layers[places[0]].name
    choose = f"pass those of the stack as a list: [model.get_layer({first!r})]"
    if len(recurrent) > 1 and type(model).__name__ != "Sequential":
        raise ValueError(f"{name} holds {len(recurrent)} recurrent layers, {listed}; {choose}")
    between = (layers[k] for k in range(places[0], places[-1]) if k not in places)
    for layer in between:
        if type(layer).__name__ not in INERT or not _is_of_keras(type(layer)):
            raise ValueError(
                f"{name} has {layer.name} ({type(layer).__name__}) between its recurrent layers, "
                f"{listed}, which a stack does not have; {choose}"
            )
    return recurrent


def _flat(model: Any) -> Iterator[Any]:
    """The layers of a model and of the models inside it, in order.

    Raises:
      ValueError: a layer that the model applies more than once.
    """
    depths = getattr(model, "_nodes_by_depth", {})  # the layer calls of a functional model
    nodes = [node for depth in depths.values() for node in depth]
    for layer in model.layers:
        times = sum(node.operation is layer for node in nodes)
        if times > 1:
            raise ValueError(
                f"{model.name} applies {layer.name} {times} times: pass a list of the layers in "
                "the order in which they run"
            )
        if hasattr(layer, "layers") and not hasattr(layer, "cells"):
            yield from _flat(layer)
        else:
            yield layer
