"""Regularisers of recurrent layers: functions on inputs, weights, steps and outputs.

Each takes its random key explicitly. A rate of 0 changes nothing and draws no number. Kept values
are divided by `1 - rate`, so that expectations stay the same.
"""

from jlstm.regularize.arrays import (
    activation_penalty,
    dropout,
    sequence_dropout,
    temporal_penalty,
    weight_drop,
)
from jlstm.regularize.arrays import check_rate as check_rate
from jlstm.regularize.steps import candidate_dropout, expected_zoneout, hidden_dropout, zoneout

__all__ = [
    "activation_penalty", "candidate_dropout", "dropout", "expected_zoneout", "hidden_dropout",
    "sequence_dropout", "temporal_penalty", "weight_drop", "zoneout",
]  # fmt: skip
