"""`python -m jlstm.convert IN OUT`: convert the layers of a file to another format.

Reads and writes safetensors files of PyTorch and of this library, and ONNX models. Needs the extra
`interop`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from jlstm.convert.formats import TITLES, Content, described, prefixes_of, read, suffix_of, write
from jlstm.interop.onnx.evaluate import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTION = """\
Convert the layers of an LSTM between file formats:
safetensors of PyTorch, safetensors of jlstm, ONNX.
Exact, but for --dtype and the sum of two biases (PyTorch,
ONNX). Layers that a format cannot represent are refused."""
EXAMPLES = """
examples:
  show the content of a file
    python -m jlstm.convert --show model.safetensors
  convert to ONNX
    python -m jlstm.convert model.safetensors model.onnx
  convert to a file for jlstm.interop.load_safetensors
    python -m jlstm.convert model.onnx model.safetensors
  convert from jlstm to PyTorch's names, or back
    python -m jlstm.convert mine.safetensors \\
        theirs.safetensors
  convert one module of a larger model
    python -m jlstm.convert tagger.safetensors lstm.onnx \\
        --prefix encoder.lstm
"""

# Flags for one format, with that format and the argument that must have it.
FLAGS = (
    ("--nodes", "onnx", "IN"), ("--nonlinearity", "torch", "IN"),
    ("--lengths", "onnx", "OUT"), ("--states", "onnx", "OUT"), ("--no-bias", "torch", "OUT"),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m jlstm.convert",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="IN", type=Path, help="a .safetensors or .onnx file")
    parser.add_argument("target", metavar="OUT", type=Path, nargs="?", help="the file to write")
    parser.add_argument(
        "--show", action="store_true", help="print the content of IN, and write nothing"
    )
    parser.add_argument(
        "--to", choices=TITLES,
        help="the format of OUT; by default .onnx is onnx, and .safetensors is jlstm, or torch if "
        "IN is jlstm",
    )  # fmt: skip
    parser.add_argument("--prefix", help="the prefix of PyTorch's names, such as encoder.lstm")
    parser.add_argument(
        "--nodes", help="the names of the ONNX nodes of the stack, separated by commas"
    )
    parser.add_argument(
        "--nonlinearity", choices=("tanh", "relu"),
        help="for a simple RNN of PyTorch, whose weights do not include it; relu is refused",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", choices=("float16", "bfloat16", "float32", "float64"), metavar="DTYPE",
        help="round the weights to float16, bfloat16, float32 or float64",
    )  # fmt: skip
    parser.add_argument("--no-bias", action="store_true", help="for torch: a module without biases")
    parser.add_argument(
        "--lengths", action="store_true", help="for onnx: a model that takes lengths"
    )
    parser.add_argument(
        "--states", action="store_true",
        help="for onnx: a model that takes initial states and returns the final ones",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.show == (options.target is not None):
        parser.error("give IN and OUT, or --show IN")
    of_out = ["--to", "--dtype", *(flag for flag, _, file in FLAGS if file == "OUT")]
    if options.show and (unused := [flag for flag in of_out if _value(options, flag)]):
        parser.error(f"{unused[0]} is for OUT, and --show writes none")
    try:
        # With the dtypes of the file, and on the CPU.
        with jax.enable_x64(True), jax.default_device("cpu"):
            _show(options) if options.show else _convert(options)
    except (OSError, TypeError, ValueError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _show(options: argparse.Namespace) -> None:
    path, prefixes = options.source, {options.prefix: False}
    if options.prefix is None:
        prefixes = prefixes_of(path) or prefixes
    for prefix, simple in prefixes.items():
        # The printed lines of a simple RNN are the same with any nonlinearity.
        assumed = "tanh" if simple and options.nonlinearity is None else options.nonlinearity
        content = _read(options, prefix, assumed)
        if simple and options.nonlinearity is None:
            content.notes.append("its nonlinearity is not in the file: --nonlinearity tanh")
        _print("", path, content)


def _convert(options: argparse.Namespace) -> None:
    source, target = options.source, options.target
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"OUT is IN, {source}, which would be overwritten")
    suffix = suffix_of(target)  # checked before anything is read
    if target.is_dir() or not target.parent.is_dir():
        fault = "is a folder" if target.is_dir() else f"is in no folder: make {target.parent} first"
        raise ValueError(f"OUT, {target}, {fault}")
    content = _read(options, options.prefix, options.nonlinearity)
    form = options.to or (suffix if suffix == "onnx" else "jlstm")
    if not options.to and form == content.form == "jlstm":
        form = "torch"
    if (form == "onnx") != (suffix == "onnx"):
        raise ValueError(f"--to {form} does not go with OUT, {target}")
    _check_flags(options, "OUT", form)
    if options.prefix is not None and "torch" not in (form, content.form):
        raise ValueError(f"--prefix is for torch, and IN is {content.form}, OUT is {form}")
    _print("read ", source, content)
    prefix = options.prefix if options.prefix and content.form != "torch" else ""
    layers = content.layers
    if options.dtype:
        layers = jax.tree.map(lambda a: a.astype(options.dtype), layers)
    write(
        target, form, layers, prefix=prefix, bias=not options.no_bias,
        lengths=options.lengths, states=options.states,
    )  # fmt: skip
    print(f"wrote {target}: {TITLES[form]}, {target.stat().st_size:,} bytes")
    if form == "onnx":
        graph = load_model(target).graph
        for name, values in (("inputs", graph.input), ("outputs", graph.output)):
            print(f"  {name}: {', '.join(value.name for value in values)}")


def _print(verb: str, path: Path, content: Content) -> None:
    print(f"{verb}{path}: {TITLES[content.form]}")
    for line in (*described(content.layers), *content.notes):
        print(f"  {line}")


def _read(options: argparse.Namespace, prefix: str | None, nonlinearity: str | None) -> Content:
    nodes = options.nodes.split(",") if options.nodes is not None else None
    content = read(options.source, prefix, nonlinearity, nodes)
    _check_flags(options, "IN", content.form)
    return content


def _check_flags(options: argparse.Namespace, place: str, form: str) -> None:
    for flag, needed, file in FLAGS:
        if file == place and form != needed and _value(options, flag):
            raise ValueError(f"{flag} is for {needed}, and {place} is {form}")


def _value(options: argparse.Namespace, flag: str) -> object:
    return getattr(options, flag.removeprefix("--").replace("-", "_"))


if __name__ == "__main__":
    sys.exit(main())
