"""Variants of the LSTM and baseline cells, each with a params type, an `init_*` and a `*_step`.

All run through `jlstm.scan_cell`, and all can be layers of `jlstm.stack_scan`.
"""

from jlstm.cells.coupled import CoupledParams as CoupledParams
from jlstm.cells.coupled import coupled_step as coupled_step
from jlstm.cells.coupled import init_coupled as init_coupled
from jlstm.cells.gru import ChoGRUParams as ChoGRUParams
from jlstm.cells.gru import GRUParams as GRUParams
from jlstm.cells.gru import cho_gru_step as cho_gru_step
from jlstm.cells.gru import gru_step as gru_step
from jlstm.cells.gru import init_cho_gru as init_cho_gru
from jlstm.cells.gru import init_gru as init_gru
from jlstm.cells.layer_norm import LayerNormParams as LayerNormParams
from jlstm.cells.layer_norm import init_layer_norm as init_layer_norm
from jlstm.cells.layer_norm import layer_norm_step as layer_norm_step
from jlstm.cells.no_forget import NoForgetParams as NoForgetParams
from jlstm.cells.no_forget import init_no_forget as init_no_forget
from jlstm.cells.no_forget import no_forget_step as no_forget_step
from jlstm.cells.peephole import PeepholeParams as PeepholeParams
from jlstm.cells.peephole import init_peephole as init_peephole
from jlstm.cells.peephole import peephole_step as peephole_step
from jlstm.cells.projected import init_projected as init_projected
from jlstm.cells.projected import projected_step as projected_step
from jlstm.cells.rnn import RNNParams as RNNParams
from jlstm.cells.rnn import init_rnn as init_rnn
from jlstm.cells.rnn import rnn_step as rnn_step
from jlstm.types import ProjectedParams as ProjectedParams
