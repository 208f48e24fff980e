"""The implementations of the recurrence on this machine."""

from __future__ import annotations

import jax

from jlstm.recurrence.native.library import status
from jlstm.recurrence.pallas.loops import OLDEST_JAX


def implementations() -> dict[str, str]:
    """Each `implementation=` of a sequence call, as it is on this machine, in a line.

    The first is taken by default, wherever it applies; the second everywhere else. The others are
    used by name alone.

    Returns:
      A line by name: where it is available, or why it is not.

    Example:
      >>> import jlstm
      >>> sorted(jlstm.implementations())
      ['cudnn', 'fused', 'native', 'pallas', 'scan']
    """
    platform = jax.default_backend()
    found, reason = status()
    native = f"not available: {reason}"
    if found is not None:
        use = "the default here" if platform == "cpu" else f"not for {platform}"
        native = f"{use}: {reason}; for LSTMParams in float32, in programs for one CPU device"
    fused = "the default here" if found is None or platform != "cpu" else "the default elsewhere"
    lines = {
        "native": native,
        "fused": f"{fused}: a loop of XLA with a derivative of its own, on every platform",
        "scan": "jax.lax.scan of the step under JAX's own derivative, on every platform",
        "cudnn": "cuDNN's LSTM in float32" if platform == "gpu" else "not available: needs CUDA",
        "pallas": _pallas(platform),
    }
    order = ["native", "fused"] if platform == "cpu" and found is not None else ["fused", "native"]
    return {name: lines[name] for name in [*order, *lines]}


def _pallas(platform: str) -> str:
    if platform != "gpu":
        return "not available: needs a Hopper GPU"
    if jax.__version_info__ < OLDEST_JAX:
        return f"not available: needs jax {'.'.join(map(str, OLDEST_JAX))} or newer"
    return "kernels for Hopper GPUs, in bfloat16"
