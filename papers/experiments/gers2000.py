"""Gers, Schmidhuber and Cummins (2000), Learning to Forget, section 4: the continual grammar."""

from __future__ import annotations

from functools import partial

import jlstm
from jlstm.variants import init_no_forget
from papers.experiments.continual import Setting, measure_blocks, measure_layer
from papers.row import SMALL_LOOPS, Measure, Row

SECTION = "Gers, Schmidhuber and Cummins (2000)"
SLOWER = (
    "the embedded grammar is learned more slowly than in the papers, as in experiment 1 of 1997: "
    "most nets predict the inner grammar and guess the T or P after it."
)
BY_ADAM = "16 units, full gradient over 100 symbols, Adam, 8 streams that do not end at an error"


def _row(name: str, setting: str, published: str, measure: Measure, *rest, **more) -> Row:
    setting = f"Continual embedded Reber grammar, {setting}"
    flags = "" if "`jlstm" in setting else SMALL_LOOPS
    return Row(f"gers00-{name}", SECTION, setting, published, measure, *rest, flags=flags, **more)


ROWS = (
    _row(
        "forget", "4 blocks of 2 cells, with forget gates", "18% of 100 nets perfect",
        partial(measure_blocks, Setting()), 8, 30_000, (2, 300),
    ),
    _row(
        "decay", "with forget gates, learning rate decays", "62% of 100 nets perfect",
        partial(measure_blocks, Setting(decay=True)), 8, 30_000, note=SLOWER,
    ),
    _row(
        "no-forget", "without forget gates", "0% of 100 nets perfect",
        partial(measure_blocks, Setting(forget_gates=False)), 8, 30_000,
    ),
    _row(
        "resets", "without forget gates, with external resets", "74% of 100 nets perfect",
        partial(measure_blocks, Setting(forget_gates=False, resets=True)), 8, 30_000, note=SLOWER,
    ),
    _row(
        "lstm", "`jlstm.lstm_step`", "", partial(measure_layer, jlstm.init_params, False),
        4, 800_000, (2, 300_000), BY_ADAM,
    ),
    _row(
        "lstm-no-forget", "`jlstm.variants.no_forget_step`: a negative control", "",
        partial(measure_layer, init_no_forget, False), 4, 800_000, (2, 300_000), BY_ADAM,
    ),
    _row(
        "lstm-resets", "`jlstm.variants.no_forget_step` with `resets`", "",
        partial(measure_layer, init_no_forget, True), 4, 800_000, (2, 300_000), BY_ADAM,
        note="two of four nets reach 49,000 and 445,000 symbols.",
    ),
)  # fmt: skip
