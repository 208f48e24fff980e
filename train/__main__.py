"""`python -m train CONFIG.toml [--out DIR] [--steps N] [--any.other.key VALUE]`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from train.command import parse, run
from train.config import Config, check_config, read_config, to_values
from train.errors import InputError

CONFIGS = Path(__file__).parents[1] / "configs"
PROG = "python -m train CONFIG.toml"


@dataclass(frozen=True)
class Command:
    """Train a model as a config says; the same command goes on with a run that was stopped."""

    out: Path | None = None
    """The run's folder; runs/NAME of the config without one."""
    config: Annotated[Config, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Config)


def main(args: list[str]) -> None:
    """Train, list the configs, or explain the flags."""
    if not args:
        print(list_configs())
        return
    if args[0] in ("-h", "--help"):
        parse(Command(), args, PROG)
    if args[0].startswith("-"):
        raise InputError(f"name a config before {args[0]}, as in: {PROG} {' '.join(args)}")
    path = Path(args[0])
    command = parse(Command(config=read_config(path)), args[1:], PROG)
    config = check_config(to_values(command.config), "command line")
    from train.devices import use_every_core  # after the checks: JAX takes seconds to start
    from train.loop import train

    use_every_core()
    train(config, command.out or Path("runs") / path.stem, Console())


def list_configs() -> str:
    """The configs with the line that each begins with."""
    lines = [f"usage: {PROG} [--out DIR] [--seed N] [--steps N] [--any.other.key VALUE]", ""]
    for path in sorted(CONFIGS.glob("*.toml")):
        first = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"  configs/{path.name:20} {first}")
    return "\n".join([*lines, "", "python -m train --help explains every key."])


if __name__ == "__main__":
    run(main, "train", "interrupted; the same command goes on from the newest checkpoint, if any")
