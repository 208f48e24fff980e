"""Files of layers by their suffix: read, write and describe them.

The formats are safetensors of PyTorch, safetensors of this library, and ONNX. Needs the extra
`interop`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from jlstm.cells.layer_types import LAYER_TYPES, output_size
from jlstm.files import write_bytes
from jlstm.interop.onnx.evaluate import load_model
from jlstm.interop.onnx.reader import adds_biases, layers_of, read_stack, states_of
from jlstm.interop.onnx.stack import MOVES
from jlstm.interop.onnx.writer import to_onnx
from jlstm.interop.safetensors import (
    load_safetensors,
    read_tensors,
    save_safetensors,
    write_tensors,
)
from jlstm.interop.torch.names import KEY, choose_module, find_modules, split_key
from jlstm.interop.torch.weights import from_torch, to_torch
from jlstm.types import BiLSTMParams

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jlstm.types import PyTree

TITLES = {
    "torch": "safetensors of PyTorch", "jlstm": "safetensors of jlstm", "onnx": "ONNX",
}  # fmt: skip
TWO_BIASES = "its two biases are added, which rounds once"
PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")
OTHERS = {
    ".keras": "is of Keras: use jlstm.interop.from_keras(keras.models.load_model(path))",
    ".h5": "is of Keras: use jlstm.interop.from_keras(keras.models.load_model(path))",
    ".msgpack": "is of Flax: use jlstm.interop.from_flax(flax.serialization.msgpack_restore(data))",
}


class Content(NamedTuple):
    """The content of a file."""

    form: str  # a key of TITLES
    layers: tuple[PyTree, ...]
    notes: list[str]  # on content that is not in the layers


def read(
    path: Path,
    prefix: str | None = None,
    nonlinearity: str | None = None,
    nodes: Sequence[str] | None = None,
) -> Content:
    """Read the layers of a file, with notes on its other content.

    Args:
      path: the path of a file that ends in `.safetensors` or `.onnx`.
      prefix: the prefix of the names of a PyTorch module; None chooses the only one.
      nonlinearity: that of a simple RNN of PyTorch, whose weights do not include it.
      nodes: the names of the ONNX nodes of the stack; None takes all.

    Raises:
      ValueError: another file format, no such module or several, layers that this library does not
        support. OSError: the file cannot be read.
    """
    if suffix_of(path) == "onnx":
        return _read_onnx(path, nodes)
    metadata, tensors = read_tensors(path, needed=_may_be_needed)
    if "jlstm" in metadata:
        layers = load_safetensors(path)
        single = hasattr(layers, "_fields")
        return Content("jlstm", (layers,) if single else layers, [])
    modules = find_modules(tensors)
    if prefix is None and len(modules) > 1:
        names = _some(map(repr, modules))
        raise ValueError(f"{path} holds {len(modules)} modules, choose by --prefix: {names}")
    try:
        prefix = choose_module(modules, prefix, tensors)
        layers = from_torch(tensors, prefix, nonlinearity=nonlinearity)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    return Content("torch", layers, list(_notes(tensors, modules[prefix], prefix)))


def prefixes_of(path: Path) -> dict[str, bool]:
    """The prefix of each PyTorch module in a file; True for a simple RNN."""
    if suffix_of(path) == "onnx":
        return {}
    metadata, tensors = read_tensors(path, needed=_may_be_needed)
    if "jlstm" in metadata:
        return {}
    return {
        prefix: any(
            name.startswith("weight_hh") and len(set(array.shape)) == 1
            for name, forms in weights.items()
            for array in forms.values()
        )
        for prefix, weights in sorted(find_modules(tensors).items())
    }


def _notes(tensors: Mapping[str, Any], weights: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Notes on arrays that are not in the layers, and on computed weights."""
    if prefix:
        yield f"prefix: {prefix}"
    if any(name.startswith("bias_hh") for name in weights):
        yield TWO_BIASES
    places = {prefix, prefix.removesuffix("module.")}
    used = [key for key in tensors if (parts := split_key(key)) and parts[0] in places]
    computed = [key for key in used if (parts := split_key(key)) and parts[2]]
    if computed:
        yield f"computed from {_some(computed)}"
    rest = [key for key in tensors if key not in used]
    if rest:
        yield f"left out, {len(rest)} arrays of other modules: {_some(rest)}"


def write(
    path: Path,
    form: str,
    layers: Sequence[PyTree],
    *,
    prefix: str = "",
    bias: bool = True,
    lengths: bool = False,
    states: bool = False,
) -> None:
    """Write the layers atomically.

    Args:
      path: the path of the file.
      form: "torch", "jlstm" or "onnx".
      layers: a stack.
      prefix: the prefix of PyTorch's names.
      bias: False for a PyTorch module without biases.
      lengths: True for an ONNX model that takes lengths.
      states: True for an ONNX model that takes initial states and returns the final ones.

    Raises:
      TypeError, ValueError: layers that the format cannot represent. OSError: the file cannot be
        written.
    """
    if form == "jlstm":
        save_safetensors(path, tuple(layers))
    elif form == "onnx":
        write_bytes(path, to_onnx(layers, lengths=lengths, states=states).SerializeToString())
    else:
        arrays = to_torch(layers, bias=bias)
        dot = "." if prefix and not prefix.endswith(".") else ""
        tensors = {prefix + dot + name: array for name, array in arrays.items()}
        write_tensors(path, tensors, {"format": "pt"})


def described(layers: Sequence[PyTree]) -> Iterator[str]:
    """One line per layer: its type, sizes, gates, number of weights and dtype."""
    for k, layer in enumerate(layers):
        parts = layer._asdict() if isinstance(layer, BiLSTMParams) else {"": layer}
        parts = {name: params for name, params in parts.items() if params is not None}
        first = next(iter(parts.values()))
        units = output_size(first)
        outputs = f"{len(parts)} x {units}" if len(parts) == 2 else f"{units}"
        gates = LAYER_TYPES[type(first)].gates
        dtypes = {a.dtype.name for a in jax.tree.leaves(layer)}
        yield ", ".join(
            [f"layer {k}: {type(first).__name__}", f"{first.weight_ih.shape[0]} -> {outputs}"]
            + ([" and ".join(parts)] if parts.keys() != {""} else [])
            + ([f"gates {' '.join(gates)}"] if gates else [])
            + [f"{sum(a.size for a in jax.tree.leaves(layer)):,} numbers", "/".join(sorted(dtypes))]
        )


def suffix_of(path: Path) -> str:
    """The suffix of a supported file, `safetensors` or `onnx`.

    Raises:
      ValueError: another suffix.
    """
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise ValueError(
            f"{path} looks like a pickle, which can run code; in PyTorch, load it with "
            "torch.load(path, weights_only=True) and write it with "
            "safetensors.torch.save_file(state_dict, 'model.safetensors')"
        )
    if suffix in OTHERS:
        raise ValueError(f"{path} {OTHERS[suffix]}, and interop.save_safetensors")
    if suffix not in (".safetensors", ".onnx"):
        raise ValueError(f"{path} must end in .safetensors or .onnx")
    return suffix[1:]


def _read_onnx(path: Path, nodes: Sequence[str] | None) -> Content:
    model = load_model(path)
    graph, stack = read_stack(model, nodes)
    layers = layers_of(graph, stack)
    notes = [TWO_BIASES] if adds_biases(graph, stack) else []
    used = {cell.name for cells in stack for cell in cells}
    known = ("Constant", *MOVES) + ("Gather",) * (model.producer_name == "jlstm")
    others = Counter(n.op for n in graph.nodes if n.op not in known and n.name not in used)
    if others:
        counts = [f"{count} {name}" for name, count in sorted(others.items())]
        notes.append(f"left out, nodes outside of the stack: {_some(counts)}")
    if any(state is not None for state in states_of(graph, stack)):
        notes.append("left out, initial states: read them with jlstm.interop.onnx_states")
    return Content("onnx", layers, notes)


def _may_be_needed(name: str) -> bool:
    """Return True for the names to read; other arrays may be large, or of unsupported dtypes."""
    return KEY.fullmatch(name) is not None


def _some(names: Any) -> str:
    names = sorted(names)
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
