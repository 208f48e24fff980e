"""Features of a text or a series that units may follow: a number or a boolean per step."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from train.errors import InputError
from train.viewer import Feature

OPENING, CLOSING = "([{", ")]}"
APOSTROPHES = "'\u2019"
QUOTES = {  # closing quotes by opening quotes
    '"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c",
    "\xab": "\xbb",
}  # fmt: skip
RARE = 0.25  # the largest share of steps with a mark, in a column of marks


def of_text(text: str, marker: str | None = None) -> list[Feature]:
    """Features for units of a language model; the character of a step counts as read.

    Args:
      text: the model's input.
      marker: a text; the feature "marker seen" is true after it.

    Raises:
      InputError: a marker that the text does not hold.

    Example:
      >>> {f.name: f.values.astype(int).tolist() for f in of_text("a (b)")}["inside brackets"]
      [0, 0, 1, 1, 0]
    """
    places = np.arange(len(text))
    newline = np.array([c == "\n" for c in text], bool)
    space = np.array([c.isspace() for c in text], bool)
    letter = np.array([c.isalnum() or c == "_" for c in text], bool)
    digit = np.array([c.isdigit() for c in text], bool)
    capital = np.array([c.isupper() for c in text], bool)
    features = [
        Feature("inside brackets", inside_brackets(text), "one is open; ends at an empty line"),
        Feature("inside quotes", inside_quotes(text), "a quote is open; ends at an empty line"),
        Feature("characters into the line", _since(newline), "length of the line so far"),
        Feature("indent of the line", indents(text), "spaces at the start of the line"),
        Feature("letters into the word", _since(~letter), "0 between words"),
        Feature("at a space", space, "a space, tab or line end was just read", memory=False),
        Feature("digit", digit, "a digit was just read", memory=False),
        Feature("capital letter", capital, "a capital was just read", memory=False),
        Feature("place in the text", places, "characters since the start"),
    ]
    if marker is not None:
        end = text.find(marker) + len(marker) - 1
        if not marker or end < len(marker) - 1:
            raise InputError(f"--marker {marker!r} is not in the text that is shown")
        features.append(Feature("marker seen", places >= end, f"{marker!r} was read before"))
    return features


def of_columns(
    names: Sequence[str], values: np.ndarray, marker: str | None = None
) -> list[Feature]:
    """Features of columns of numbers `(time, columns)`; NaN is a missing value.

    A column of marks has only two values, the higher one rarely; "marker seen" is true after its
    first mark.

    Args:
      names: the names of the columns.
      values: the values in the units of the data.
      marker: the column of marks; None detects such columns.

    Raises:
      InputError: a marker that is not a column, or has no mark.

    Example:
      >>> import numpy as np
      >>> marks = np.array([[3.0, 0], [1, 0], [4, 1], [1, 0], [5, 0]])
      >>> [f.name for f in of_columns(["value", "mark"], marks)]
      ['value', 'running mean of value', 'mark', 'marker seen: mark', 'time since the start']
    """
    if marker is not None and marker not in names:
        raise InputError(f"--marker {marker!r} is not a column; the columns are {', '.join(names)}")
    features: list[Feature] = []
    for name, column in zip(names, values.T, strict=True):
        known = ~np.isnan(column)
        marks = _marks(column)
        if name == marker and not marks.any():
            raise InputError(f"--marker {marker!r} has no mark: a rare higher value")
        if not known.all():
            features.append(Feature(f"{name} is missing", ~known, memory=False))
        if name == marker or (marker is None and marks.any()):
            features.append(Feature(name, marks, "a mark", memory=False))
            seen = np.logical_or.accumulate(marks)
            features.append(Feature(f"marker seen: {name}", seen, "a mark was read before"))
            continue
        held = _held(column)
        means = np.cumsum(np.where(known, column, 0)) / np.maximum(np.cumsum(known), 1)
        features.append(Feature(name, held, memory=False))
        features.append(Feature(f"running mean of {name}", means, "of all values so far"))
    return [*features, Feature("time since the start", np.arange(len(values)), "steps")]


def of_keys(names: Sequence[str], roll: np.ndarray, marker: str | None = None) -> list[Feature]:
    """Features of a piano roll `(time, keys)`; a marker is the name of a key.

    Raises:
      InputError: a marker that is not a key, or never sounds.
    """
    on = roll > 0
    sounding = on.any(1)
    keys = np.arange(roll.shape[1])
    highest = np.where(sounding, np.where(on, keys, -1).max(1), np.nan)
    lowest = np.where(sounding, np.where(on, keys, len(keys)).min(1), np.nan)
    changes = np.append(True, (on[1:] != on[:-1]).any(1))
    features = [
        Feature("steps since the keys changed", _since(changes)),
        Feature("time since the start", np.arange(len(roll)), "steps"),
        Feature("keys that sound", on.sum(1), "their number", memory=False),
        Feature("highest key", _held(highest), memory=False),
        Feature("lowest key", _held(lowest), memory=False),
    ]
    for k, name in enumerate(names):
        features.append(Feature(f"key {name}", on[:, k], "sounds", memory=False))
    if marker is not None:
        if marker not in names or not on[:, names.index(marker)].any():
            heard = ", ".join(name for k, name in enumerate(names) if on[:, k].any())
            raise InputError(
                f"--marker {marker!r} is not a key that sounds here; those are {heard}"
            )
        seen = np.logical_or.accumulate(on[:, names.index(marker)])
        features.append(Feature(f"marker seen: {marker}", seen, "the key has sounded before"))
    return features


def inside_brackets(text: str) -> np.ndarray:
    """Return whether a bracket is open after each character; an empty line closes all brackets."""
    inside, depth, before = np.zeros(len(text), bool), 0, ""
    for k, character in enumerate(text):
        if character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth = max(0, depth - 1)
        elif character == before == "\n":
            depth = 0
        inside[k] = depth > 0
        before = character
    return inside


def inside_quotes(text: str) -> np.ndarray:
    """Return whether a quote is open after each character; an empty line closes it.

    Apostrophes are not quotes: a quote opens only where no letter precedes and no space follows,
    and `'` closes it only where no letter follows.
    """
    inside, closing = np.zeros(len(text), bool), ""
    for k, character in enumerate(text):
        before, after = text[k - 1 : k], text[k + 1 : k + 2]
        if closing:
            if character == before == "\n" or (
                character == closing and not (character in APOSTROPHES and after.isalnum())
            ):
                closing = ""
        elif character in QUOTES and not before.isalnum() and after and not after.isspace():
            closing = QUOTES[character]
        inside[k] = bool(closing)
    return inside


def indents(text: str) -> np.ndarray:
    """The number of spaces and tabs at the start of the line, as far as it is read."""
    features = np.zeros(len(text))
    for line in re.finditer(r"([ \t]*)[^\n]*\n?", text):
        start, end = line.span()
        width = len(line[1])
        features[start:end] = np.minimum(np.arange(1, end - start + 1), width)
    return features


def _since(stops: np.ndarray) -> np.ndarray:
    """Steps since the last stop, 0 at a stop; before the first stop, steps since the start."""
    places = np.arange(1, len(stops) + 1)
    return places - np.maximum.accumulate(np.where(stops, places, 0))


def _marks(column: np.ndarray) -> np.ndarray:
    """Marks: where a column of two values has the higher one, if that is rare; else none."""
    levels = np.unique(column[~np.isnan(column)])
    marks = column == levels[-1] if len(levels) == 2 else np.zeros(len(column), bool)
    return marks if 0 < marks.mean() <= RARE else np.zeros(len(column), bool)


def _held(column: np.ndarray) -> np.ndarray:
    """The last known value at each step; before the first known value, the first."""
    known = np.flatnonzero(~np.isnan(column))
    if not known.size:
        return np.zeros(len(column))
    last = np.searchsorted(known, np.arange(len(column)), side="right") - 1
    return column[known[np.maximum(last, 0)]]
