"""Errors that exit the program with one line on stderr."""


class InputError(Exception):
    """An invalid flag, config or file; nothing was written. Exit status 2."""


class RunError(Exception):
    """A failure during a run. Exit status 1."""


class Terminated(Exception):
    """The process was asked to end by SIGTERM, and a checkpoint is saved. Exit status 143."""
