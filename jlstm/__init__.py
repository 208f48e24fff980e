"""The LSTM for JAX: pure functions on pytrees, closed under every JAX transformation."""

from jlstm import initializers as initializers
from jlstm.cell import init_params as init_params
from jlstm.cell import init_state as init_state
from jlstm.cell import lstm_step as lstm_step
from jlstm.sequence import lstm_scan as lstm_scan
from jlstm.sequence import scan_cell as scan_cell
from jlstm.trace import lstm_trace as lstm_trace
from jlstm.types import LSTMGates as LSTMGates
from jlstm.types import LSTMParams as LSTMParams
from jlstm.types import LSTMState as LSTMState
from jlstm.types import LSTMTrace as LSTMTrace
