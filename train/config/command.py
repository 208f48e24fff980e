"""The command line of every program: flags by tyro, and each error in one line."""

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
from train.config.screen import Screen, asks_help, fit, set_style, without_none
from train.config.settings import Config
from train.config.tasks import TableFormat
from train.errors import InputError, RunError, Terminated

Options = TypeVar("Options")

# The words by which flags name separators of tables.
SEPARATORS = {
    ",": "comma", ".": "point", ";": "semicolon", "|": "pipe", " ": "space", "'": "apostrophe",
}  # fmt: skip


@dataclass(frozen=True)
class DataFile:
    """The data to read."""

    path: str | None = None
    """A file in the format of the run's data."""


@dataclass(frozen=True)
class NewTable(TableFormat, DataFile):
    """The table to read, and its format where it differs from that of the run's table."""


@dataclass(frozen=True)
class RunOptions:
    """The flags of programs that use a finished run."""

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN_DIR")]] = tyro.MISSING
    """The run's folder, such as runs/char_lm."""
    data: DataFile = field(default_factory=DataFile)
    best: bool = False
    """Use the weights with the best validation instead of the last ones."""


RunOptionsT = TypeVar("RunOptionsT", bound=RunOptions)


def parse(default: Options, args: Sequence[str], prog: str, example: str = "") -> Options:
    """Parse flags over `default`, a dataclass.

    Help ends with the `example`, the flags of an example command.

    Raises:
      InputError: an unknown flag, a missing value, or a value of the wrong type.
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
            print(fit(without_none(screen.getvalue().rstrip())))
            print(fit(f"\nexample:\n  {prog} {example}"))
            raise
        raise InputError(_one_line(shown.getvalue())) from None


def parse_run_options(
    default: RunOptionsT, args: Sequence[str], prog: str, example: str
) -> RunOptionsT:
    """Parse the flags, with those of a table format if the run was trained on a table."""
    folder = next((arg for arg in args if os.path.isfile(Path(arg) / "config.toml")), None)
    data = read_config(Path(folder) / "config.toml").data if folder else None
    if isinstance(data, TableFormat):
        default = replace(default, data=NewTable(**_format_of(data)))
    return parse(default, args, prog, example)


def with_table_format(config: Config, data: DataFile) -> Config:
    """The config of a run, for a table in the format that the flags name.

    Raises:
      InputError: a value out of range, or flags without a table.
    """
    if not isinstance(data, NewTable):
        return config
    changed = {
        key: value for key, value in _format_of(data).items() if value != getattr(config.data, key)
    }
    if changed and data.path is None:
        raise InputError(f"--data.{next(iter(changed))} needs a table: --data.path FILE")
    new = replace(config, data=replace(config.data, **changed))
    return check_config(to_values(new), "command line")


def same_file(path: Path, other: str) -> bool:
    """Return whether two paths are of the same file."""
    return path.exists() and os.path.exists(other) and path.samefile(other)


def _format_of(data: TableFormat) -> dict[str, Any]:
    return {field.name: getattr(data, field.name) for field in fields(TableFormat)}


def run(
    main: Callable[[list[str]], None],
    name: str,
    interrupted: str,
    leave: Callable[[int], NoReturn] = sys.exit,
) -> None:
    """Run a program; if it fails, exit with one line on stderr and its exit status.

    Args:
      main: the program, called with the arguments of the command line.
      name: the prefix of its errors.
      interrupted: the message after Ctrl-C.
      leave: exits with a status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # characters that it cannot encode are escaped
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
    except BrokenPipeError:  # the reading end of the pipe was closed, e.g. by `head`
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
    """The first paragraph of an error that tyro prints in a box, and the flag it suggests."""
    lines = [line.strip("│| \n") for line in box.splitlines()[1:]]
    end = next((k for k, line in enumerate(lines) if re.match("─|╰|-----|[+]--", line)), len(lines))
    message = _with_spaces(_with_choices(" ".join(lines[:end])))
    meant = [line.split()[0] for line in lines[end:] if line.startswith("--")]
    return (
        f"{message}; did you mean {meant[0]}?" if "Perhaps you meant:" in box and meant else message
    )


def _with_choices(message: str) -> str:
    """The error about a choice, with sorted choices: tyro keeps optional ones in a set."""
    match = re.fullmatch(
        r"invalid choice (.*) for argument (.*)\. Expected one of \((.*)\)\.", message
    )
    if match is None:
        return message
    given, flag, listed = match.groups()
    choices = sorted(set(re.findall(r"'([^']+)'", listed)) - {"None"})
    word = SEPARATORS.get(given[1:-1])
    meant = f"; did you mean {word}?" if word in choices else ""
    return f"invalid choice {given} for {flag[1:-1]}, which is one of {', '.join(choices)}{meant}"


def _with_spaces(message: str) -> str:
    """The error about values separated by commas, with the cure."""
    match = re.match(r"Error parsing (--\S+): .*\['(.+,.+)'\]$", message)
    if match is None:
        return message
    flag, given = match.groups()
    values = " ".join(re.split(r"[, ]+", given))
    return f"{flag} takes values with spaces between them: {flag} {values}"
