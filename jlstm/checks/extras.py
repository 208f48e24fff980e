"""Optional libraries, imported on use: without one, the error names it and its extra."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def needs(what: str, extra: str) -> Generator[None]:
    """Run imports of libraries that `what` needs; if one is missing, name it and its extra."""
    try:
        yield
    except ImportError as error:
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if not isinstance(missing, ModuleNotFoundError) or missing.name is None:
            raise  # the library is installed but cannot be imported
        package = missing.name.partition(".")[0]
        raise ModuleNotFoundError(
            f"{what} needs {package}: pip install '.[{extra}]' in the clone, or {package}",
            name=missing.name,
        ) from error
