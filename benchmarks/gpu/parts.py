"""Parts of `benchmarks.gpu` that fit into a few minutes of GPU time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from benchmarks.gpu.checks import CHECKS
from benchmarks.gpu.entrants import ENTRANTS
from benchmarks.shapes import KINDS, Shape

SMALL = Shape(8, 12, 64, 128)
# Kernels whose blocks wait for each other, from one block to the whole chip: one that hangs does so
# at the smallest size, in a process that is then ended.
LADDER = (
    Shape(8, 12, 64, 64),
    Shape(8, 12, 64, 128),
    Shape(16, 12, 256, 256),
    Shape(16, 12, 512, 512),
    Shape(16, 12, 768, 768),
    Shape(16, 12, 1024, 1024),
    Shape(128, 12, 256, 256),
)
# Checks of the timed calls: their shape and the problem.
AS_TIMED: Mapping[str, tuple[Shape, str]] = MappingProxyType(
    {f"as timed: {kind}": (SMALL, kind) for kind in KINDS}
    | {f"{shape.hidden} units, batch {shape.batch}": (shape, KINDS[0]) for shape in LADDER}
)
ALL_CHECKS = [*AS_TIMED, *CHECKS]  # first the checks that make times meaningful


class Part(NamedTuple):
    """The defaults of the flags of `benchmarks.gpu`."""

    minutes: float = 7.0
    patience: float = 60.0
    checks_share: float = 0.35  # of the minutes, at most
    entrants: Sequence[str] = tuple(ENTRANTS)
    checks: Sequence[str] = tuple(ALL_CHECKS)
    only: Sequence[str] = ("",)
    more: bool = False  # time the cases that earlier results lack


EVERYTHING = Part()
PARTS: Mapping[str, Part] = MappingProxyType(
    {
        # Does it run, is it right, and how far is it from PyTorch?
        "first": Part(
            minutes=2.0,
            checks_share=0.5,
            entrants=("jlstm", "jlstm, CUDA graphs", "jlstm, cudnn", "PyTorch"),
            checks=(f"as timed: {KINDS[0]}", "plain: values", "plain: gradients"),
            only=(
                "FlashRNN, one layer, bfloat16",
                "FlashRNN, one layer, float32",
                "toy, one layer",
            ),
        ),
        # The kernels that may hang: checked at every size before they are timed.
        "pallas": Part(
            minutes=4.0,
            patience=30.0,
            checks_share=0.8,
            entrants=("jlstm", "jlstm, CUDA graphs", "jlstm, pallas", "PyTorch"),
            checks=(
                *(name for name in AS_TIMED if "units" in name),
                *(name for name in CHECKS if name.endswith((": values", ": gradients"))),
            ),
            only=("one layer, bfloat16",),
        ),
        "rest": Part(
            minutes=5.0,
            more=True,
            checks_share=0.4,
            entrants=tuple(name for name in ENTRANTS if name != "jlstm, pallas"),
            checks=tuple(name for name in ALL_CHECKS if "units" not in name),
        ),
    }
)
