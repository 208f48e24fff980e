"""The command line of both programs: flags by tyro, and every error as one line."""

import contextlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import tyro

from train.config.load import check_config, read_config, to_values
from train.config.screen import Screen, asks_help, fit, set_style
from train.config.settings import Config
from train.config.tasks import Written
from train.errors import InputError, RunError, Terminated

Options = TypeVar("Options")

# Marks of tables that the flags call by a word.
MARKS = {
    ",": "comma", ".": "point", ";": "semicolon", "|": "pipe", " ": "space", "'": "apostrophe",
}  # fmt: skip


@dataclass(frozen=True)
class File:
    """What is read."""

    path: str | None = None
    """A file in the format of the run's data."""


@dataclass(frozen=True)
class OtherTable(Written, File):
    """What is read, and how it is written where this is not as in the table of the run."""


@dataclass(frozen=True)
class OfRun:
    """The flags of what is done with a finished run."""

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN_DIR")]] = tyro.MISSING
    """The run's folder, such as runs/char_lm."""
    data: File = field(default_factory=File)
    best: bool = False
    """Whether to use the weights that were best by validation, instead of the last ones."""


OfRunT = TypeVar("OfRunT", bound=OfRun)


def parse(default: Options, args: Sequence[str], prog: str, example: str = "") -> Options:
    """The options `default`, a dataclass, with what the flags say.

    Help ends with the `example`, which is what follows `prog`.

    Raises:
      InputError: a flag that is unknown, lacks its value, or has one of a wrong type.
    """
    set_style(args)
    shown, screen = io.StringIO(), Screen(asks_help(args))
    try:
        with contextlib.redirect_stderr(shown), contextlib.redirect_stdout(screen):
            return tyro.cli(
                type(default), prog=prog, args=args, default=default, use_underscores=True
            )
    except SystemExit as end:
        if not end.code:
            print(fit(screen.getvalue().rstrip()))
            print(fit(f"\nexample:\n  {prog} {example}"))
            raise
        raise InputError(_one_line(shown.getvalue())) from None


def parse_of_run(default: OfRunT, args: Sequence[str], prog: str, example: str) -> OfRunT:
    """The options, with the flags of a table where the run learned from one."""
    place = next((arg for arg in args if os.path.isfile(Path(arg) / "config.toml")), None)
    data = read_config(Path(place) / "config.toml").data if place else None
    if isinstance(data, Written):
        default = replace(default, data=OtherTable(**_written(data)))
    return parse(default, args, prog, example)


def with_table(config: Config, data: File) -> Config:
    """The config of a run, for a table that is written as the flags say.

    Raises:
      InputError: a value out of range, or flags without a table.
    """
    if not isinstance(data, OtherTable):
        return config
    changed = {key: new for key, new in _written(data).items() if new != getattr(config.data, key)}
    if changed and data.path is None:
        raise InputError(f"--data.{next(iter(changed))} needs a table: --data.path FILE")
    new = replace(config, data=replace(config.data, **changed))
    return check_config(to_values(new), "command line")


def same_file(one: Path, other: str) -> bool:
    """Return whether both are the same file, however it is named."""
    return one.exists() and os.path.exists(other) and one.samefile(other)


def _written(data: Written) -> dict[str, Any]:
    return {field.name: getattr(data, field.name) for field in fields(Written)}


def run(
    main: Callable[[list[str]], None],
    name: str,
    interrupted: str,
    leave: Callable[[int], NoReturn] = sys.exit,
) -> None:
    """Run a program; end with one line on stderr and its exit status if it fails.

    Args:
      main: the program, called with the arguments of the command line.
      name: what stands before its errors.
      interrupted: what Ctrl-C has cost.
      leave: ends the process with a status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that it lacks ends no program
            stream.reconfigure(errors="backslashreplace")
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except InputError as error:
        status = (2, error)
    except RunError as error:
        status = (1, error)
    except Terminated as error:
        status = (128 + signal.SIGTERM, error)
    except KeyboardInterrupt:
        status = (130, interrupted)
    except BrokenPipeError:  # the reader, such as `head`, has all it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = (1, f"cannot write the output: {error.strerror or error}")
    else:
        return
    print(f"{name}: {status[1]}", file=sys.stderr)
    leave(status[0])


def _one_line(box: str) -> str:
    """What tyro says in a box: its first paragraph, and the flag that was meant."""
    lines = [line.strip("│| \n") for line in box.splitlines()[1:]]
    end = next((k for k, line in enumerate(lines) if re.match("─|╰|-----|[+]--", line)), len(lines))
    message = _with_spaces(_with_choices(" ".join(lines[:end])))
    meant = [line.split()[0] for line in lines[end:] if line.startswith("--")]
    return f"{message}; was {meant[0]} meant?" if "Perhaps you meant:" in box and meant else message


def _with_choices(message: str) -> str:
    """The complaint about a choice, with all in order: tyro keeps optional ones in a set."""
    match = re.fullmatch(
        r"invalid choice (.*) for argument (.*)\. Expected one of \((.*)\)\.", message
    )
    if match is None:
        return message
    given, flag, listed = match.groups()
    choices = sorted(set(re.findall(r"'([^']+)'", listed)) - {"None"})
    word = MARKS.get(given[1:-1])
    meant = f"; was {word} meant?" if word in choices else ""
    return f"invalid choice {given} for {flag[1:-1]}, which is one of {', '.join(choices)}{meant}"


def _with_spaces(message: str) -> str:
    """The complaint about values with commas between them, with the cure."""
    match = re.match(r"Error parsing (--\S+): .*\['(.+,.+)'\]$", message)
    if match is None:
        return message
    flag, given = match.groups()
    values = " ".join(re.split(r"[, ]+", given))
    return f"{flag} takes values with spaces between them: {flag} {values}"
