"""Errors that end the program with one line on stderr."""


class InputError(Exception):
    """Something given to the program is wrong; nothing was written. Exit status 2."""


class RunError(Exception):
    """Something failed while the run was under way. Exit status 1."""


class Terminated(Exception):
    """Somebody asked the process to end, and what was done is saved. Exit status 143."""
