"""Layers on disk: one safetensors file, from which the layers can be rebuilt."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.cells.layer_types import LAYER_TYPES, check_layer
from jlstm.checks.extras import needs
from jlstm.files import write_bytes
from jlstm.interop.arrays import as_array
from jlstm.types import BiLSTMParams

if TYPE_CHECKING:
    from jlstm.types import PyTree

FORMAT = 1
BY_NAME = {params_type.__name__: params_type for params_type in LAYER_TYPES}
DIRECTIONS = BiLSTMParams._fields


def save_safetensors(path: str | os.PathLike, layers: PyTree) -> None:
    """Write one layer or a stack; equal weights give equal files.

    The arrays are named `0.weight_ih`, or `0.forward.weight_ih`, and so on; the metadata holds, as
    one JSON string under the key `jlstm`, the version of the format and the type, order of gates
    and sizes of each layer. The file is written atomically.

    Args:
      path: the path of the file, which is replaced if it exists.
      layers: a layer of any layer type of the library, a `BiLSTMParams`, or a tuple of these.

    Raises:
      TypeError: a layer of an unknown type. OSError: the file cannot be written.

    Example:
      >>> import jax, jlstm, os, tempfile
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4), bidirectional=True)
      >>> path = os.path.join(tempfile.mkdtemp(), "layers.safetensors")
      >>> jlstm.interop.save_safetensors(path, layers)
      >>> type(jlstm.interop.load_safetensors(path)[1]).__name__
      'BiLSTMParams'
    """
    single = hasattr(layers, "_fields") or not isinstance(layers, Sequence)
    tensors, described = {}, []
    for k, layer in enumerate([layers] if single else layers):
        both = layer._asdict() if isinstance(layer, BiLSTMParams) else {"": layer}
        parts = {direction: params for direction, params in both.items() if params is not None}
        described.append({})
        for direction, params in parts.items():
            sizes = check_layer(params)
            place = f"{k}.{direction}." if direction else f"{k}."
            tensors |= {place + name: np.asarray(a) for name, a in params._asdict().items()}
            described[-1][direction] = {
                "kind": type(params).__name__, "gates": LAYER_TYPES[type(params)].gates, **sizes,
            }  # fmt: skip
    about = {"format": FORMAT, "single": single, "layers": described}
    metadata = {"jlstm": json.dumps(about, separators=(",", ":"))}
    write_tensors(path, tensors, metadata)


def load_safetensors(path: str | os.PathLike) -> PyTree:
    """Load the layers of a file of `save_safetensors`, bit for bit.

    No code in the file is run. A file of PyTorch lacks this metadata: read it with
    `safetensors.numpy.load_file` and pass the result to `from_torch`.

    Args:
      path: the path of the file.

    Returns:
      The layer, or the tuple of layers, that was saved.

    Raises:
      ValueError: a truncated file, one that is not a safetensors file, that lacks this metadata or
        has a newer format, or whose arrays are missing, too many, or not of the stated sizes.
      OSError: the file cannot be read.
    """
    about, tensors = _read(path)
    try:
        layers = [
            {direction: (BY_NAME[part["kind"]], part) for direction, part in layer.items()}
            for layer in about["layers"]
        ]
        single, newest = bool(about["single"]), int(about["format"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path}: its metadata does not describe layers: {error!r}") from None
    if newest > FORMAT:
        raise ValueError(f"{path} has format {newest}, this version of jlstm reads up to {FORMAT}")
    loaded = []
    for k, layer in enumerate(layers):
        if not layer or not ({*layer} <= {*DIRECTIONS} or {*layer} == {""}):
            raise ValueError(f"{path}: layer {k} has the directions {tuple(layer)}")
        parts = {
            direction: _params(path, tensors, k, direction, params_type, part)
            for direction, (params_type, part) in layer.items()
        }
        loaded.append(parts[""] if "" in parts else BiLSTMParams(*map(parts.get, DIRECTIONS)))
    if tensors:
        raise ValueError(f"{path} holds arrays of no layer: {', '.join(sorted(tensors)[:4])}")
    if not loaded or (single and len(loaded) != 1):
        raise ValueError(f"{path}: its metadata lists {len(loaded)} layers")
    return loaded[0] if single else tuple(loaded)


def _params(
    path: Any, tensors: dict, k: int, direction: str, params_type: type[Any], part: dict
) -> PyTree:
    """The weights of one direction, removed from `tensors`."""
    place = f"{k}.{direction}." if direction else f"{k}."
    missing = [place + name for name in params_type._fields if place + name not in tensors]
    if missing:
        raise ValueError(f"{path} has no array {missing[0]}")
    arrays = [as_array(place + name, tensors.pop(place + name)) for name in params_type._fields]
    params = params_type(*arrays)
    try:
        sizes = check_layer(params)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: layer {k}: {error}") from None
    gates = LAYER_TYPES[params_type].gates
    if part.get("gates") != gates:
        raise ValueError(
            f"{path}: layer {k} has gates {part.get('gates')!r}, {params_type.__name__} has "
            f"{gates!r}"
        )
    for axis, size in sizes.items():
        if part.get(axis) != size:
            raise ValueError(
                f"{path}: layer {k} states {axis}={part.get(axis)}, its arrays have {size}"
            )
    return params


def write_tensors(
    path: str | os.PathLike, tensors: Mapping[str, np.ndarray], metadata: dict[str, str]
) -> None:
    """Write a safetensors file atomically."""
    with needs("a safetensors file", "interop"):
        import safetensors.numpy

    # The format has no strides, and the library writes the memory as it is.
    in_order = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    write_bytes(path, safetensors.numpy.save(in_order, metadata))


def read_tensors(
    path: str | os.PathLike, needed: Callable[[str], bool] = lambda name: True
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the arrays of any safetensors file; arrays not `needed` are empty."""
    with needs("a safetensors file", "interop"):
        import safetensors

    tensors = {}
    try:
        with safetensors.safe_open(path, framework="np") as file:
            for name in file.keys():
                tensors[name] = file.get_tensor(name) if needed(name) else np.zeros(0)
            return file.metadata() or {}, tensors
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file: {error}") from None
    except AttributeError as error:  # NumPy has no dtype of that name
        raise ValueError(f"{path}: an array has an unsupported dtype: {error}") from None


def _read(path: Any) -> tuple[dict, dict]:
    """The metadata of `save_safetensors`, and the arrays by name."""
    metadata, tensors = read_tensors(path)
    if "jlstm" not in metadata:
        names = ", ".join(sorted(tensors)[:4])
        raise ValueError(
            f"{path} was not written by save_safetensors (it holds {names}); for weights of "
            "PyTorch, call jlstm.interop.from_torch(safetensors.numpy.load_file(path))"
        )
    try:
        about = json.loads(metadata["jlstm"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its metadata is not JSON: {error}") from None
    if not isinstance(about, dict) or not isinstance(about.get("layers"), list):
        raise ValueError(f"{path}: its metadata does not describe layers")
    return about, tensors
