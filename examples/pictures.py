"""Draw every picture of `jlstm.plot` for a character model that `make train` trained.

`.venv/bin/python examples/pictures.py runs/char_lm --out pictures` takes a minute; `--theme dark`
draws the same for dark pages. The README shows `step.png` and `step-dark.png`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import numpy as np

import jlstm
from train.errors import InputError
from train.output.weights import load_run
from train.tasks import char_lm

TEXT = 'for example, "object.__setattr__(self, name, value)"'


def draw(run: Path, out: Path, text: str, theme: str) -> list[Path]:
    """Draw the first layer's pictures, and return the paths of the files."""
    trained = load_run(run)
    vocabulary = trained.about["vocabulary"]
    if unknown := set(text) - set(vocabulary):
        raise InputError(f"--text has the character {min(unknown)!r}, which the model never saw")
    if len(text) < 14:
        raise InputError(f"--text must have 14 characters or more, got {len(text)}")
    tokens = char_lm.encode(text, vocabulary)
    xs = trained.params.embedding[np.asarray(tokens)]
    params = trained.params.layers[0]
    _, hs, trace = jlstm.lstm_trace(params, None, xs)

    # The step and the unit whose cell changes the most, of those after the first dozen steps.
    change = np.abs(np.diff(trace.c, axis=0))[11:]
    t, unit = (int(k) for k in np.unravel_index(change.argmax(), change.shape))
    t += 12
    state = jlstm.LSTMState(hs[t - 1], trace.c[t - 1])
    new = jlstm.init_params(jax.random.key(0), params.weight_ih.shape[0], hs.shape[-1])
    order = jlstm.plot.order_by_memory(trace)
    figures = {
        "gates": jlstm.plot.gates(trace, hs, units=order, labels=text, theme=theme),
        "memory": jlstm.plot.memory(trace, labels=text, theme=theme),
        "gradient_flow": jlstm.plot.gradient_flow({"new": new, "trained": params}, xs, theme=theme),
        "step": jlstm.plot.step(params, state, xs[t], units=unit, label=text[t], theme=theme),
    }
    out.mkdir(parents=True, exist_ok=True)
    suffix = "-dark" if theme == "dark" else ""
    paths = [out / f"{name}{suffix}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.savefig(path, dpi=120)
    animation = out / f"cell{suffix}.gif"
    jlstm.plot.animate(trace, animation, unit=unit, labels=text, theme=theme)
    return [*paths, animation]


def main(args: list[str] | None = None) -> None:
    """Draw the pictures, and print their paths."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="the folder of a run of char_lm")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--theme", default="light", choices=("light", "dark"))
    arguments = parser.parse_args(args)
    try:
        paths = draw(arguments.run, arguments.out, arguments.text, arguments.theme)
    except InputError as error:
        parser.error(str(error))
    print(*paths, sep="\n")


if __name__ == "__main__":
    main()
