"""`nnx.RNN`, trained as users of NNX do."""

from flax import nnx

from benchmarks.peers import _nnx_training
from jlstm.interop import to_nnx
from jlstm.types import LSTMParams


def calls(problem):
    """Training and forward of `nnx.RNN(nnx.OptimizedLSTMCell(...))`."""
    inputs, gates = problem.weight_ih.shape
    cell = nnx.OptimizedLSTMCell(inputs, gates // 4, rngs=nnx.Rngs(0))
    nnx.update(cell, to_nnx((LSTMParams(*problem[:3]),))[0])
    return _nnx_training.calls(nnx.RNN(cell), problem)
