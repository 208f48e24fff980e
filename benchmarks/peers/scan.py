"""jlstm's plain scan of `lstm_step` under JAX's derivative: what the fused one has to beat."""

from functools import partial

from benchmarks.peers import jlstm

layer = partial(jlstm.layer, implementation="scan")
