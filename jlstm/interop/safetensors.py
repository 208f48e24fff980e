"""Layers on disk: one safetensors file with all that is needed to rebuild them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.extras import needs
from jlstm.interop.arrays import as_array
from jlstm.interop.files import write_bytes
from jlstm.layers import LAYER_TYPES, check_layer
from jlstm.types import BiLSTMParams

if TYPE_CHECKING:
    from jaxtyping import PyTree

FORMAT = 1
BY_NAME = {kind.__name__: kind for kind in LAYER_TYPES}
DIRECTIONS = BiLSTMParams._fields


def save_safetensors(path: str | os.PathLike, layers: PyTree) -> None:
    """Write one layer or a stack; equal weights give equal files.

    The arrays are called `0.weight_ih`, or `0.forward.weight_ih`, and so on; the metadata holds, as
    one JSON string under the key `jlstm`, the format's version and each layer's kind, order of
    gates and sizes. The file is whole or not there.

    Args:
      path: of the file; one that is there is replaced.
      layers: a layer of any kind that the library knows, a `BiLSTMParams`, or a tuple of these.

    Raises:
      TypeError: a layer of no kind that is known. OSError: the file cannot be written.

    Example:
      >>> import jax, jlstm, os, tempfile
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4), bidirectional=True)
      >>> path = os.path.join(tempfile.mkdtemp(), "layers.safetensors")
      >>> jlstm.interop.save_safetensors(path, layers)
      >>> type(jlstm.interop.load_safetensors(path)[1]).__name__
      'BiLSTMParams'
    """
    single = hasattr(layers, "_fields") or not isinstance(layers, Sequence)
    tensors, kinds = {}, []
    for k, layer in enumerate([layers] if single else layers):
        both = layer._asdict() if isinstance(layer, BiLSTMParams) else {"": layer}
        parts = {direction: params for direction, params in both.items() if params is not None}
        kinds.append({})
        for direction, params in parts.items():
            sizes = check_layer(params)
            place = f"{k}.{direction}." if direction else f"{k}."
            tensors |= {place + name: np.asarray(a) for name, a in params._asdict().items()}
            kinds[-1][direction] = {
                "kind": type(params).__name__, "gates": LAYER_TYPES[type(params)].gates, **sizes,
            }  # fmt: skip
    about = {"format": FORMAT, "single": single, "layers": kinds}
    metadata = {"jlstm": json.dumps(about, separators=(",", ":"))}
    write_tensors(path, tensors, metadata)


def load_safetensors(path: str | os.PathLike) -> PyTree:
    """The layers of a file of `save_safetensors`, of the same types and dtypes, to the bit.

    Nothing in the file is run. A file of PyTorch holds no such metadata: read it with
    `safetensors.numpy.load_file` and give that to `from_torch`.

    Args:
      path: of the file.

    Returns:
      The layer, or the tuple of layers, that was saved.

    Raises:
      ValueError: a file that is cut short or is no safetensors file, one without this metadata, of
        a newer format, or whose arrays are missing, too many, or of other sizes than it says.
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
        raise ValueError(f"{path}: its metadata is not that of layers: {error!r}") from None
    if newest > FORMAT:
        raise ValueError(f"{path} has format {newest}, this version of jlstm reads up to {FORMAT}")
    found = []
    for k, layer in enumerate(layers):
        if not layer or not ({*layer} <= {*DIRECTIONS} or {*layer} == {""}):
            raise ValueError(f"{path}: layer {k} has the directions {tuple(layer)}")
        parts = {way: _params(path, tensors, k, way, said) for way, said in layer.items()}
        found.append(parts[""] if "" in parts else BiLSTMParams(*map(parts.get, DIRECTIONS)))
    if tensors:
        raise ValueError(f"{path} holds arrays of no layer: {', '.join(sorted(tensors)[:4])}")
    if not found or (single and len(found) != 1):
        raise ValueError(f"{path}: its metadata says {len(found)} layers")
    return found[0] if single else tuple(found)


def _params(path: Any, tensors: dict, k: int, direction: str, said: tuple[type, dict]) -> PyTree:
    """The weights of one direction, taken out of `tensors`."""
    kind, part = said
    place = f"{k}.{direction}." if direction else f"{k}."
    missing = [place + name for name in kind._fields if place + name not in tensors]
    if missing:
        raise ValueError(f"{path} has no array {missing[0]}")
    arrays = [as_array(place + name, tensors.pop(place + name)) for name in kind._fields]
    params = kind(*arrays)
    try:
        sizes = check_layer(params)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: layer {k}: {error}") from None
    if part.get("gates") != LAYER_TYPES[kind].gates:
        raise ValueError(
            f"{path}: layer {k} has gates {part.get('gates')!r}, {kind.__name__} has "
            f"{LAYER_TYPES[kind].gates!r}"
        )
    for axis, size in sizes.items():
        if part.get(axis) != size:
            raise ValueError(f"{path}: layer {k} says {axis}={part.get(axis)}, its arrays {size}")
    return params


def write_tensors(
    path: str | os.PathLike, tensors: Mapping[str, np.ndarray], metadata: dict[str, str]
) -> None:
    """Any safetensors file, whole or not there."""
    with needs("a safetensors file", "interop"):
        import safetensors.numpy

    # The format has no strides, and the library writes the bytes as they lie.
    in_order = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    write_bytes(path, safetensors.numpy.save(in_order, metadata))


def read_tensors(
    path: str | os.PathLike, needed: Callable[[str], bool] = lambda name: True
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and all arrays of any safetensors file, by name; those not needed are empty."""
    with needs("a safetensors file", "interop"):
        import safetensors

    tensors = {}
    try:
        with safetensors.safe_open(path, framework="np") as file:
            for name in file.keys():
                tensors[name] = file.get_tensor(name) if needed(name) else np.zeros(0)
            return file.metadata() or {}, tensors
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file: {error}") from None
    except AttributeError as error:  # of NumPy, whose name for a dtype was looked up
        raise ValueError(f"{path}: an array has a dtype that is not known here: {error}") from None


def _read(path: Any) -> tuple[dict, dict]:
    """The metadata of this library, and all arrays by name."""
    metadata, tensors = read_tensors(path)
    if "jlstm" not in metadata:
        names = ", ".join(sorted(tensors)[:4])
        raise ValueError(
            f"{path} was not written by save_safetensors (it holds {names}); weights of PyTorch "
            "are read by jlstm.interop.from_torch(safetensors.numpy.load_file(path))"
        )
    try:
        about = json.loads(metadata["jlstm"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its metadata is not JSON: {error}") from None
    if not isinstance(about, dict) or not isinstance(about.get("layers"), list):
        raise ValueError(f"{path}: its metadata is not that of layers")
    return about, tensors
