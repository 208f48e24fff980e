"""`python -m train.sample RUN_DIR [--prompt TEXT] [--length N] [--temperature X]`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from train.config.command import parse, run
from train.errors import InputError

PROG = "python -m train.sample"
EXAMPLE = 'runs/char_lm --prompt "To be" --length 200'


@dataclass(frozen=True)
class Command:
    """Generate text with the model of a finished run."""

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN_DIR")]] = tyro.MISSING
    """The run's folder, such as runs/char_lm."""
    prompt: str | None = None
    """The text that the model continues; without one it starts a line."""
    length: int = 500
    """Characters to generate."""
    temperature: float = 0.8
    """0 takes the likeliest character each time; 1 samples from the model's distribution."""
    seed: int = 0
    """The seed of the sampled text."""


def main(args: list[str]) -> None:
    """Print the prompt and its continuation."""
    command = parse(Command(), args, PROG, EXAMPLE)
    print(sample(command))


def sample(command: Command) -> str:
    """The prompt, continued.

    Raises:
      InputError: no finished run, a prompt with unknown characters, a number out of range.
    """
    if command.length < 1:
        raise InputError(f"--length must be 1 or more, got {command.length}")
    if not 0 <= command.temperature < float("inf"):
        raise InputError(f"--temperature must be 0 or more, got {command.temperature}")
    if not 0 <= command.seed < 2**32:
        raise InputError(f"--seed must be 0 or more and below 2**32, got {command.seed}")
    if command.prompt == "":
        raise InputError("--prompt must have at least one character, got an empty text")
    import jax  # after the checks: it takes seconds to start

    from train.output.weights import load_run
    from train.tasks import char_lm

    config, task, about, params = load_run(command.run)
    if task is not char_lm.TASK:
        raise InputError(f"{command.run} holds a run of {config.task}, which generates no text")
    vocabulary = about["vocabulary"]
    prompt = char_lm.line_start(vocabulary) if command.prompt is None else command.prompt
    tokens = char_lm.generate(
        config,
        params,
        jax.random.key(command.seed),
        char_lm.known("--prompt holds", prompt, vocabulary),
        command.length,
        command.temperature,
    )
    return (command.prompt or "") + char_lm.decode(tokens, vocabulary)


if __name__ == "__main__":
    run(main, "train.sample", "interrupted")
