"""Variants of the LSTM and baseline cells, each with a params type, an `init_*` and a `*_step`.

All run through `jlstm.scan_cell`, and all can be layers of `jlstm.stack_scan`.
"""

from jlstm.types import ProjectedParams as ProjectedParams
from jlstm.variants.coupled import CoupledParams as CoupledParams
from jlstm.variants.coupled import coupled_step as coupled_step
from jlstm.variants.coupled import init_coupled as init_coupled
from jlstm.variants.gru import ChoGRUParams as ChoGRUParams
from jlstm.variants.gru import GRUParams as GRUParams
from jlstm.variants.gru import cho_gru_step as cho_gru_step
from jlstm.variants.gru import gru_step as gru_step
from jlstm.variants.gru import init_cho_gru as init_cho_gru
from jlstm.variants.gru import init_gru as init_gru
from jlstm.variants.layer_norm import LayerNormParams as LayerNormParams
from jlstm.variants.layer_norm import init_layer_norm as init_layer_norm
from jlstm.variants.layer_norm import layer_norm_step as layer_norm_step
from jlstm.variants.no_forget import NoForgetParams as NoForgetParams
from jlstm.variants.no_forget import init_no_forget as init_no_forget
from jlstm.variants.no_forget import no_forget_step as no_forget_step
from jlstm.variants.peephole import PeepholeParams as PeepholeParams
from jlstm.variants.peephole import init_peephole as init_peephole
from jlstm.variants.peephole import peephole_step as peephole_step
from jlstm.variants.projected import init_projected as init_projected
from jlstm.variants.projected import projected_step as projected_step
from jlstm.variants.rnn import RNNParams as RNNParams
from jlstm.variants.rnn import init_rnn as init_rnn
from jlstm.variants.rnn import rnn_step as rnn_step
