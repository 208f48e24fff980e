"""The LSTM for JAX: pure functions on pytrees, closed under every JAX transformation.

One layer:      init_params, init_state, lstm_step, lstm_scan, lstm_trace
Several:        init_stack, init_stack_state, stack_step, stack_scan, stack_trace
Other cells:    scan_cell, variants, LAYER_TYPES, output_size
Training:       regularize, initializers, truncated, plan_packing, pack, unpack, broadcast_state
What it does:   plot, memory_kept, gradient_norms, log_gradient_norms
Weights, files: interop, and `python -m jlstm.convert`
Flax, GPUs:     nnx, linen, gpu
This machine:   implementations
Types:          LSTMParams, LSTMState, LSTMTrace, BiLSTMParams, BiLSTMState, BiLSTMTrace

All sequences are time first, `(time, *batch, features)`. The state is `(h, c)`.
"""

from __future__ import annotations

from importlib import import_module, metadata, util
from typing import TYPE_CHECKING, Any

from jlstm import gpu, initializers, interop, plot, regularize, variants
from jlstm.analysis.gradients import GradientNorms, gradient_norms, log_gradient_norms
from jlstm.analysis.memory import memory_kept
from jlstm.analysis.trace import lstm_trace, stack_trace
from jlstm.cells.layer_types import LAYER_TYPES, broadcast_state, init_state, output_size
from jlstm.cells.lstm import init_params, lstm_step
from jlstm.packing import Packing, pack, plan_packing, unpack
from jlstm.recurrence.available import implementations
from jlstm.sequence import lstm_scan, scan_cell
from jlstm.stack import init_stack, init_stack_state, stack_scan, stack_step
from jlstm.truncation import truncated
from jlstm.types import (
    BiLSTMParams,
    BiLSTMState,
    BiLSTMTrace,
    LayerType,
    LSTMGates,
    LSTMParams,
    LSTMState,
    LSTMTrace,
)

if TYPE_CHECKING:
    from jlstm import linen as linen
    from jlstm import nnx as nnx

    __version__: str

__all__ = [  # noqa: RUF022, in the order of use
    "init_params", "init_state", "lstm_step", "lstm_scan", "lstm_trace",
    "init_stack", "init_stack_state", "stack_step", "stack_scan", "stack_trace",
    "scan_cell", "truncated", "broadcast_state", "output_size",
    "memory_kept", "gradient_norms", "log_gradient_norms", "implementations",
    "plan_packing", "pack", "unpack",
    "LSTMParams", "LSTMState", "LSTMGates", "LSTMTrace",
    "BiLSTMParams", "BiLSTMState", "BiLSTMTrace",
    "GradientNorms", "Packing", "LayerType", "LAYER_TYPES",
    "variants", "regularize", "initializers", "interop", "plot", "gpu",
]  # fmt: skip

_FLAX = ("nnx", "linen")  # imported on use: they need flax


def __getattr__(name: str) -> Any:
    if name in _FLAX:
        return import_module(f"jlstm.{name}")
    if name == "__version__":
        return _version()
    raise AttributeError(f"module 'jlstm' has no attribute {name!r}")


def __dir__() -> list[str]:
    flax = _FLAX if util.find_spec("flax") else ()
    return [*__all__, *flax, "__version__"]


def _version() -> str:
    """The version that is installed, or that of the checkout."""
    try:
        return metadata.version("jlstm")
    except metadata.PackageNotFoundError:
        import tomllib
        from pathlib import Path

        project = Path(__file__).parents[1] / "pyproject.toml"
        return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
