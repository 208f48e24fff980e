"""`python -m jlstm.convert IN OUT`: the layers of a file in another format.

Reads and writes safetensors files of PyTorch, safetensors files of this library, and ONNX models.
Needs the extra `interop`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jlstm.interop.files import write_bytes
from jlstm.interop.onnx import to_onnx
from jlstm.interop.onnx_evaluate import load_model
from jlstm.interop.onnx_reader import (
    adds_biases,
    layers_of,
    read_stack,
    states_of,
)
from jlstm.interop.onnx_stack import MOVES
from jlstm.interop.safetensors import (
    load_safetensors,
    read_tensors,
    save_safetensors,
    write_tensors,
)
from jlstm.interop.torch import NAME, from_torch, to_torch
from jlstm.layers import KINDS, output_size
from jlstm.types import BiLSTMParams

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jaxtyping import PyTree

TITLES = {
    "torch": "safetensors of PyTorch", "jlstm": "safetensors of jlstm", "onnx": "ONNX",
}  # fmt: skip
TWO_BIASES = "its two biases are added, which rounds once"
FIRST = re.compile(r"(.*?)weight_ih(_l0)?")
PICKLES = (".pt", ".pth", ".bin", ".pkl", ".ckpt")
EXAMPLES = """
examples:
  python -m jlstm.convert --show model.safetensors        what is in it
  python -m jlstm.convert model.safetensors model.onnx    to ONNX
  python -m jlstm.convert model.onnx model.safetensors    to jlstm.interop.load_safetensors
  python -m jlstm.convert mine.safetensors theirs.safetensors
                                                          from jlstm to PyTorch's names, or back
  python -m jlstm.convert tagger.safetensors lstm.onnx --prefix encoder.lstm.
                                                          one module of a larger model
"""


class Content(NamedTuple):
    """What a file holds."""

    form: str  # a key of TITLES
    layers: tuple[PyTree, ...]
    notes: list[str]  # what is not in the layers


def read(path: Path, prefix: str | None = None, nodes: Sequence[str] | None = None) -> Content:
    """The layers of a file, and what else it holds.

    Args:
      path: of a file that ends in `.safetensors` or `.onnx`.
      prefix: of the names of a module of PyTorch; None takes the only one there is.
      nodes: the names of the nodes of ONNX that are the stack; None takes all.

    Raises:
      ValueError: another kind of file, no such module or several, layers that this library has no
        place for. OSError: the file cannot be read.
    """
    if _form(path) == "onnx":
        return _read_onnx(path, nodes)
    metadata, tensors = read_tensors(path, needed=_may_be_lstm)
    if "jlstm" in metadata:
        layers = load_safetensors(path)
        single = hasattr(layers, "_fields")
        return Content("jlstm", (layers,) if single else layers, [])
    prefixes = prefixes_of(tensors)
    if prefix is not None and prefix not in prefixes:
        there = _some(map(repr, prefixes)) or "none"
        raise ValueError(f"{path} holds no LSTM or GRU under --prefix {prefix!r}, but: {there}")
    if prefix is None:
        if not prefixes:
            raise ValueError(f"{path} holds no LSTM or GRU: {_some(tensors)}")
        if len(prefixes) > 1:
            found = _some(map(repr, prefixes))
            raise ValueError(f"{path} holds {len(prefixes)} modules, choose by --prefix: {found}")
        (prefix,) = prefixes
    try:
        layers = from_torch(tensors, prefix)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    notes = [f"prefix: {prefix}"] if prefix else []
    rest = [name for name in tensors if not _is_of(name, prefix)]
    if any("bias_hh" in name for name in tensors.keys() - set(rest)):
        notes.append(TWO_BIASES)
    if rest:
        notes.append(f"left out, {len(rest)} arrays that are not of this module: {_some(rest)}")
    return Content("torch", layers, notes)


def prefixes_of(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """What stands before the names of each LSTM or GRU of PyTorch among these."""
    found = []
    for match in filter(None, map(FIRST.fullmatch, tensors)):
        recurrent = tensors.get(match[0].replace("weight_ih", "weight_hh"))
        if recurrent is None or len(set(recurrent.shape)) != 1:  # that of a simple RNN is square
            found.append(match[1])
    return sorted(found)


def write(
    path: Path,
    form: str,
    layers: Sequence[PyTree],
    *,
    prefix: str = "",
    bias: bool = True,
    lengths: bool = False,
) -> None:
    """Write the layers; the file is whole or not there.

    Args:
      path: of the file.
      form: "torch", "jlstm" or "onnx".
      layers: a stack.
      prefix: what stands before PyTorch's names.
      bias: whether the module of PyTorch has biases.
      lengths: whether the model of ONNX takes lengths.

    Raises:
      TypeError, ValueError: layers that the format has no place for. OSError: the file cannot be
        written.
    """
    if form == "jlstm":
        save_safetensors(path, tuple(layers))
    elif form == "onnx":
        write_bytes(path, to_onnx(layers, lengths=lengths).SerializeToString())
    else:
        arrays = to_torch(layers, bias=bias)
        tensors = {prefix + name: array for name, array in arrays.items()}
        write_tensors(path, tensors, {"format": "pt"})


def described(layers: Sequence[PyTree]) -> Iterator[str]:
    """A line a layer: its kind, sizes, numbers and dtype."""
    for k, layer in enumerate(layers):
        parts = layer._asdict() if isinstance(layer, BiLSTMParams) else {"": layer}
        parts = {way: params for way, params in parts.items() if params is not None}
        first = next(iter(parts.values()))
        units = output_size(first)
        shown = f"{len(parts)} x {units}" if len(parts) == 2 else f"{units}"
        gates = KINDS[type(first)].gates
        dtypes = {a.dtype.name for a in jax.tree.leaves(layer)}
        yield ", ".join(
            [f"layer {k}: {type(first).__name__}", f"{first.weight_ih.shape[0]} -> {shown}"]
            + ([" and ".join(parts)] if parts.keys() != {""} else [])
            + ([f"gates {' '.join(gates)}"] if gates else [])
            + [f"{sum(a.size for a in jax.tree.leaves(layer)):,} numbers", "/".join(sorted(dtypes))]
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m jlstm.convert",
        description="Layers of an LSTM from one file format to another: safetensors of PyTorch, "
        "safetensors of jlstm, ONNX. Exact; what a format has no place for is refused.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="IN", type=Path, help="a .safetensors or .onnx file")
    parser.add_argument("target", metavar="OUT", type=Path, nargs="?", help="the file to write")
    parser.add_argument("--show", action="store_true", help="only say what is in IN")
    parser.add_argument(
        "--to", choices=TITLES,
        help="the format of OUT; else by its name; .safetensors is jlstm, or torch if IN is jlstm",
    )  # fmt: skip
    parser.add_argument("--prefix", help="what stands before PyTorch's names: encoder.lstm.")
    parser.add_argument(
        "--nodes", help="names of the nodes of ONNX that are the stack, with commas between them"
    )
    parser.add_argument(
        "--dtype", choices=("float16", "bfloat16", "float32", "float64"), help="round to this one"
    )
    parser.add_argument("--no-bias", action="store_true", help="torch: a module without biases")
    parser.add_argument("--lengths", action="store_true", help="onnx: a model that takes lengths")
    options = parser.parse_args(arguments)
    if options.show == (options.target is not None):
        parser.error("give IN and OUT, or --show IN")
    try:
        # In the dtypes of the file, and no accelerator for it.
        with jax.enable_x64(True), jax.default_device("cpu"):
            _show(options) if options.show else _convert(options)
    except (OSError, TypeError, ValueError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _show(options: argparse.Namespace) -> None:
    path, prefixes = options.source, [options.prefix]
    if options.prefix is None and _form(path) != "onnx":
        metadata, tensors = read_tensors(path, needed=_may_be_lstm)
        prefixes = [None] if "jlstm" in metadata else prefixes_of(tensors) or [None]
    for prefix in prefixes:
        _say("", path, read(path, prefix, _nodes(options)))


def _convert(options: argparse.Namespace) -> None:
    source, target = options.source, options.target
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"OUT is IN, {source}: it would be lost")
    suffix = _form(target)  # which refuses others before anything is read
    if target.is_dir() or not target.parent.is_dir():
        fault = "is a folder" if target.is_dir() else f"is in no folder: make {target.parent} first"
        raise ValueError(f"OUT, {target}, {fault}")
    content = read(source, options.prefix, _nodes(options))
    form = options.to or (suffix if suffix == "onnx" else "jlstm")
    if not options.to and form == content.form == "jlstm":
        form = "torch"
    if (form == "onnx") != (suffix == "onnx"):
        raise ValueError(f"--to {form} does not go with OUT, {target}")
    for given, flag, of in (
        (options.no_bias, "--no-bias", "torch"), (options.lengths, "--lengths", "onnx"),
    ):  # fmt: skip
        if given and form != of:
            raise ValueError(f"{flag} is of {of}, and OUT is {form}")
    if options.prefix is not None and "torch" not in (form, content.form):
        raise ValueError(f"--prefix is of torch, and IN is {content.form}, OUT is {form}")
    _say("read ", source, content)
    prefix = options.prefix if options.prefix and content.form != "torch" else ""
    layers = content.layers
    if options.dtype:
        layers = jax.tree.map(lambda a: a.astype(options.dtype), layers)
    write(
        target, form, layers, prefix=prefix, bias=not options.no_bias,
        lengths=options.lengths,
    )  # fmt: skip
    print(f"wrote {target}: {TITLES[form]}, {target.stat().st_size:,} bytes")
    if form == "onnx":
        graph = load_model(target).graph
        for name, values in (("inputs", graph.input), ("outputs", graph.output)):
            print(f"  {name}: {', '.join(value.name for value in values)}")


def _say(verb: str, path: Path, content: Content) -> None:
    print(f"{verb}{path}: {TITLES[content.form]}")
    for line in (*described(content.layers), *content.notes):
        print(f"  {line}")


def _nodes(options: argparse.Namespace) -> list[str] | None:
    return options.nodes.split(",") if options.nodes is not None else None


def _form(path: Path) -> str:
    if path.suffix in PICKLES:
        raise ValueError(
            f"{path} looks like a pickle, which can run code; in PyTorch, write it as "
            "safetensors.torch.save_file(module.state_dict(), 'model.safetensors')"
        )
    if path.suffix not in (".safetensors", ".onnx"):
        raise ValueError(f"{path} must end in .safetensors or .onnx")
    return path.suffix[1:]


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
        notes.append(f"left out, nodes that are not of the stack: {_some(counts)}")
    if any(state is not None for state in states_of(graph, stack)):
        notes.append("left out, its initial states: read them with jlstm.interop.onnx_states")
    return Content("onnx", layers, notes)


def _is_of(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and bool(NAME.fullmatch(name.removeprefix(prefix)))


def _may_be_lstm(name: str) -> bool:
    """Only these arrays are read: the rest of a model may be large, and of dtypes unknown here."""
    return "weight_" in name or "bias_" in name


def _some(names: Any) -> str:
    names = sorted(names)
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more


if __name__ == "__main__":
    sys.exit(main())
