"""Functions for GPUs: compiler options for loops, both directions of a layer in one loop."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jlstm.bidirectional import bidirectional_scan

__all__ = ["COMPILER_OPTIONS", "bidirectional_scan"]

COMPILER_OPTIONS: Mapping[str, str | int] = MappingProxyType(
    {
        # XLA's own list, and the loops. The list replaces the default, it does not add to it.
        "xla_gpu_enable_command_buffer": (
            "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE"
        ),
        "xla_gpu_graph_min_graph_size": 1,  # a loop may stand alone
    }
)
"""For `jax.jit(..., compiler_options=jlstm.gpu.COMPILER_OPTIONS)`: loops become CUDA graphs.

A loop over time on a GPU is launched step by step from the host, at 8 to 10 microseconds a step
however small the layer is. With these options XLA may record the whole loop as one CUDA graph,
which runs on the device alone. They belong to the outermost `jit`, are known to XLA of jax 0.10 to
0.12, and change nothing on CPU. What they gain was not measured yet; see `docs/gpu.md`.
"""
