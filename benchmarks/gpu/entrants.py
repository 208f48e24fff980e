"""The entrants and the cases of `benchmarks.gpu`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks.shapes import GPU_SHAPES, KINDS, TOY, Shape
from jlstm.recurrence import IMPLEMENTATIONS


class Entrant(NamedTuple):
    """An implementation to time: a module of `benchmarks.peers` with its options."""

    module: str
    options: Mapping[str, Any] = MappingProxyType({})
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    graphs: bool = False  # loops as CUDA graphs
    kinds: tuple[str, ...] = KINDS
    needs: str | None = None  # an optional package


class Case(NamedTuple):
    """A case to time: a shape, a dtype and a problem."""

    name: str
    shape: Shape
    dtype: str
    kind: str

    @property
    def label(self) -> str:
        """The name of the case without its sizes."""
        return f"{self.name}, {self.kind}, {self.dtype}"


ONE_LOOP = Entrant(
    "jlstm", MappingProxyType({"one_loop": True}), kinds=("both directions",)
)  # for both directions only

# Every named implementation of jlstm is an entrant; unsupported cases are recorded.
ENTRANTS: Mapping[str, Entrant] = MappingProxyType(
    {
        "jlstm": Entrant("jlstm"),
        "jlstm, CUDA graphs": Entrant("jlstm", graphs=True),
        "jlstm, one loop": ONE_LOOP,
        "jlstm, one loop, CUDA graphs": ONE_LOOP._replace(graphs=True),
        **{
            f"jlstm, {name}": Entrant("jlstm", MappingProxyType({"implementation": name}))
            for name in IMPLEMENTATIONS
            if name not in ("fused", "native")  # the default on GPU, and for CPU alone
        },
        "PyTorch": Entrant("torch", dtypes=("float32", "bfloat16", "float16"), needs="torch"),
        "jax.experimental.rnn": Entrant("experimental_rnn", dtypes=("float32",)),
        "Flax linen": Entrant("linen", needs="flax"),
        "Haiku": Entrant("haiku", needs="haiku"),
    }
)


def implementations(names: list[str]) -> list[str]:
    """The entrants that are values of `implementation`, with the default."""
    ours = [name for name in names if ENTRANTS[name].module == "jlstm"]
    return [n for n in ours if not ENTRANTS[n].graphs and ENTRANTS[n].kinds == KINDS]


def missing(name: str) -> str | None:
    """The package that an entrant needs and that is not installed."""
    needs = ENTRANTS[name].needs
    return needs if needs and find_spec(needs) is None else None


def cases(toy: bool) -> list[Case]:
    """The cases from the most to the least important: a run that ends early has the first."""
    if toy:
        return [Case("toy", TOY, "float32", kind) for kind in KINDS] + [
            Case("toy", TOY, "bfloat16", KINDS[0])
        ]
    shape = GPU_SHAPES["FlashRNN"]
    one_layer = [
        Case("FlashRNN", shape, dtype, KINDS[0]) for dtype in ("bfloat16", "float32", "float16")
    ]
    both = ("bfloat16", "float32")
    around = [Case("FlashRNN", shape, dtype, k) for k in KINDS[1:] for dtype in both]
    others = [
        Case(name, shape, dtype, KINDS[0])
        for name, shape in GPU_SHAPES.items()
        if name != "FlashRNN"
        for dtype in both
    ]
    return one_layer + around + others
