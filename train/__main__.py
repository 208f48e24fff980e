"""`python -m train CONFIG.toml [--out DIR] [--steps N] [--any.other.key VALUE]`."""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import tyro
from rich.console import Console

from train.config.command import parse, run
from train.config.load import check_config, not_set, read_config, to_toml, to_values
from train.config.screen import fit
from train.config.settings import Config, Distributed
from train.errors import InputError

CONFIGS = Path(__file__).parents[1] / "configs"
PROG = "python -m train CONFIG.toml"
HELP = f"""usage: {PROG} [--out DIR] [--seed N] [--steps N] [--any.other.key VALUE]

Trains a model from a config, NAME.toml, and writes its weights, figures, pictures and report.html \
to runs/NAME, or to --out DIR. Repeat the command to resume a stopped or killed run; \
--print_config prints the whole config instead.

configs:
{{configs}}

Every key has a flag: {PROG} --help lists those of the config's task.

example:
  python -m train configs/char_lm.toml --steps 2000 --out runs/mine

programs for a finished run:
  python -m train.evaluate RUN_DIR [--data.path FILE]             figures on the test split or FILE
  python -m train.predict RUN_DIR --data.path FILE [--out CSV]    predictions for FILE
  python -m train.sample RUN_DIR [--prompt TEXT]                  text from a language model
  python -m train.inspect RUN_DIR [--text TEXT]                   a page that shows each unit"""


def main(args: list[str]) -> None:
    """Train, list the configs, or explain the flags."""
    if not args or args[0] in ("-h", "--help"):
        print(fit(HELP.format(configs=list_configs())))
        return
    if args[0].startswith("-"):
        configs = [arg for arg in args if arg.endswith(".toml")]
        flags = " ".join(arg for arg in args if arg not in configs[:1])
        prog = PROG.replace("CONFIG.toml", configs[0]) if configs else PROG
        raise InputError(f"name a config before {args[0]}, as in: {prog} {flags}")
    path = Path(args[0])
    shipped = CONFIGS / f"{path.stem}.toml"
    if not path.exists() and shipped.exists():
        raise InputError(f"there is no config {path}; one is {os.path.relpath(shipped)}")
    example = "--steps 2000 --out runs/mine"
    command: Any = parse(
        command_of(read_config(path)), args[1:], f"python -m train {path}", example
    )
    config = check_config(to_values(command.config), "command line")
    if command.print_config:
        print(to_toml(config), end="")
        print(f"\n# not set: {', '.join(not_set(config))}")
        return
    from train.engine.devices import use_every_core  # after the checks: JAX takes seconds to start
    from train.engine.loop import train
    from train.engine.processes import is_first, join

    use_every_core()
    if command.distributed.process == 0:
        print(f"waiting for the other processes at {command.distributed.coordinator}", flush=True)
    join(command.distributed)
    out = command.out or Path("runs") / path.stem
    train(config, out, Console(quiet=not is_first()))


def leave(status: int) -> NoReturn:
    """Exit after an error, which may be that of one process of several."""
    if "train.engine.processes" in sys.modules:  # not before JAX has started
        sys.modules["train.engine.processes"].leave(status)
    sys.exit(status)


def command_of(config: Config) -> Any:
    """The flags of a config's task, with the config's values as defaults."""
    config_type = type(config)
    help_of_out = "The run's folder; by default runs/NAME, for a config NAME.toml."
    out = Annotated[Path | None, tyro.conf.arg(help=help_of_out)]
    print_config = Annotated[bool, tyro.conf.arg(help="Print the whole config and exit.")]
    command = dataclasses.make_dataclass(
        "Command",
        [
            ("out", out, None),
            ("print_config", print_config, False),
            ("distributed", Distributed, Distributed()),
            (
                "config",
                Annotated[config_type, tyro.conf.arg(name="")],
                dataclasses.field(default=config),
            ),
        ],
        frozen=True,
    )
    command.__doc__ = f"{config_type.__doc__} Repeat the command to resume a stopped run."
    return command()


def list_configs() -> str:
    """The shipped configs, each with its first line."""
    lines = []
    for path in sorted(CONFIGS.glob("*.toml")):
        first = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"  configs/{path.name:24} {first}")
    return "\n".join(lines)


if __name__ == "__main__":
    interrupted = "interrupted; repeat the command to resume from the newest checkpoint, if any"
    run(main, "train", interrupted, leave)
