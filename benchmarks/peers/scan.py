"""jlstm's plain scan of `lstm_step` under JAX's derivative, the baseline of the fused one."""

from functools import partial

from benchmarks.peers import jlstm

layer = partial(jlstm.layer, implementation="scan")
