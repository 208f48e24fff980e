"""Files as tables of text: delimited text, also compressed by gzip, .xlsx and .parquet.

Text is split by Python's `csv`, which keeps line numbers for errors, and rows of the wrong length;
pandas silently cuts or pads them.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from train.config.tasks import TableFormat
from train.errors import InputError
from train.readers.numbers import MISSING, holds_a_value

DELIMITERS = {"tab": "\t", "semicolon": ";", "pipe": "|", "comma": ",", "space": " "}
UNREADABLE = {
    b"PK": "an archive; unpack it",
    b"BZh": "compressed by bzip2; unpack it",
    b"\xfd7zXZ": "compressed by xz; unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it",
    b"\xd0\xcf\x11\xe0": "in the old Excel format, or encrypted; save it as .xlsx or .csv",
    b"ARROW1": "an Arrow file; save it as .parquet",
    b"\x89HDF": "an HDF5 file; save it as .parquet",
    b"<": "a web page, not the table that it shows; download that as .csv",
    b"{": "JSON; save it as .csv",
    b"[{": "JSON; save it as .csv",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file by `git lfs pull`",
}


class Rows(NamedTuple):
    """Cells as text, stripped."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]  # the number of each row in the file
    word: str  # "line" or "row", for errors

    def column(self, name: str) -> list[str]:
        """The cells below a name of the header."""
        place = self.header.index(name)
        return [row[place] for row in self.rows]

    def where(self, row: int) -> str:
        """The place of a row, for errors."""
        return f"{self.word} {self.lines[row]}"


def read_rows(path: str, data: bytes, how: TableFormat) -> Rows:
    """Read the header and the rows of a file, all of the same length.

    Args:
      path: the path, for errors.
      data: the content of the file.
      how: the settings of its format.

    Raises:
      InputError: the file is not a table, or has rows of different lengths.
    """
    if how.thousands == how.decimal:
        raise InputError(
            f"data.thousands and data.decimal are both {how.decimal}; they must differ"
        )
    if data[:4] == b"PAR1":
        from train.readers.spreadsheets import cells_of_parquet

        header, cells = cells_of_parquet(path, data)
        return Rows(header, cells, list(range(1, len(cells) + 1)), "row")
    if data[:2] == b"PK" and b"xl/workbook" in data:
        from train.readers.spreadsheets import cells_of_workbook

        word, numbered = "row", cells_of_workbook(path, data, how.sheet)
        numbered = [(number, row) for number, row in numbered if number > how.skip]
    else:
        word, lines = "line", _lines(path, data, how)
        numbered = [(number, [cell.strip() for cell in row]) for number, row in lines]
    numbered = [(number, row) for number, row in numbered if any(row)]
    if len(numbered) < 2:
        raise InputError(f"{path} must hold a header and rows of numbers")
    numbered = _even_width(path, numbered, word)
    lines, rows = zip(*numbered, strict=True)
    return Rows(list(rows[0]), list(rows[1:]), list(lines[1:]), word)


def _lines(path: str, data: bytes, how: TableFormat) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line of text."""
    text = _text(path, _unpacked(path, data), how.encoding)
    lines = re.split("\r\n|\r|\n", text)
    above = min(how.skip, len(lines) - 1)
    named = re.fullmatch(r'"?sep=(.)"?', lines[above].strip(" "))  # of Excel
    above += named is not None
    comments = []
    while above < len(lines) and (not lines[above].strip() or lines[above].startswith("#")):
        comments.append(lines[above].strip())
        above += 1
    body = lines[above:]
    delimiter = DELIMITERS.get(how.delimiter or "", named and named[1]) or _delimiter(body, how)
    last = next((line.removeprefix("# ") for line in reversed(comments) if line), "")
    if last and _is_header(last, body, delimiter):
        body, above = [last, *body], above - 1
    yield from _split(path, body, delimiter, above)


def _split(
    path: str, lines: list[str], delimiter: str, above: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """Split lines by RFC 4180, without comments below the first line; yield line numbers and rows.

    A line that starts with # is a row if it has the usual number of cells: `#N/A,30`.
    """
    if delimiter == " ":
        lines = [" ".join(line.split()) for line in lines]
    source = (line + "\n" for line in lines)
    reader = csv.reader(source, delimiter=delimiter, strict=True, skipinitialspace=True)
    number, rows = 1, []
    try:
        for row in reader:
            if row:
                rows.append((number, row))
            number = reader.line_num + 1
    except csv.Error as error:
        reason = "a quote is not closed" if "unexpected end" in str(error) else error
        raise InputError(f"{path}, line {above + number}: {reason}") from None
    ((usual, _),) = Counter(len(row) for _, row in rows).most_common(1) or [(0, 0)]
    for number, row in rows:
        cells = len(row) == usual and (usual > 1 or row[0].strip().lower() in MISSING)
        if number == 1 or cells or not lines[number - 1].startswith("#"):
            yield above + number, row


def _delimiter(lines: list[str], how: TableFormat) -> str:
    """The delimiter that splits the most of the first lines into the same number of cells."""
    first = list(itertools.islice((line for line in lines if line.strip()), 100))
    shares = {}
    for delimiter in DELIMITERS.values():
        if delimiter == "," and how.decimal == "comma" and not any('"' in line for line in first):
            continue
        try:
            widths = [len(row) for _, row in _split("", first, delimiter)]
        except InputError:  # a quoted cell that ends below the first lines
            widths = [len(line.split(delimiter)) for line in first]
        ((width, count),) = Counter(widths).most_common(1) or [(1, 0)]
        if width > 1 and 2 * count > len(widths):
            shares[delimiter] = count / len(widths)
    return max(shares, key=shares.__getitem__, default=",")


def _is_header(comment: str, body: list[str], delimiter: str) -> bool:
    """Return whether the last comment names the cells of a first line that has only values."""
    rows = [row for _, row in itertools.islice(_split("", [comment, *body[:1]], delimiter), 2)]
    if len(rows) < 2 or len(rows[0]) != len(rows[1]):
        return False
    return all(holds_a_value(cell.strip()) for cell in rows[1])


def _even_width(
    path: str, numbered: list[tuple[int, list[str]]], word: str
) -> list[tuple[int, list[str]]]:
    """Check that all rows have the width of the header, without trailing delimiters."""
    header = numbered[0][1]
    below = {len(row) for _, row in numbered[1:]}
    if below == {len(header) - 1} and not header[-1]:
        header.pop()
    width = len(header)
    longer = below == {width + 1}
    if longer and not any(row[-1] for _, row in numbered[1:]):
        return [(number, row[:width]) for number, row in numbered]
    odd = [k for k, (_, row) in enumerate(numbered) if len(row) != width]
    if not odd:
        return numbered
    cure = "--data.skip skips lines above the header, --data.delimiter sets the separator of cells"
    if longer:
        cure = "name the first column, too"
    elif odd == list(range(odd[0], len(numbered))) and 2 * odd[0] > len(numbered):
        cure = "delete the lines below the table"
    number, row = numbered[odd[0]]
    raise InputError(
        f"{path}, {word} {number}: has {len(row)} cells, the header ({word} {numbered[0][0]}) has "
        f"{width}; {cure}"
    )


def _unpacked(path: str, data: bytes) -> bytes:
    if data[:2] == b"\x1f\x8b":
        try:
            return gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is a broken gzip file: {error}") from None
    if path.lower().endswith(".gz"):
        raise InputError(
            f"{path} is not a gzip file; if it is plain text, remove .gz from its name"
        )
    if path.lower().endswith((".parquet", ".xlsx")) and data[:2] != b"PK":
        raise InputError(f"{path} is not a .{path.lower().rpartition('.')[2]} file")
    for start, what in UNREADABLE.items():
        if data.lstrip(b"\xef\xbb\xbf \r\n").startswith(start):
            raise InputError(f"{path} is {what}")
    return data


def _text(path: str, data: bytes, encoding: str) -> str:
    """Decode text; a byte order mark overrides the encoding."""
    if data.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = data.decode(encoding)
    except LookupError:
        raise InputError(f"data.encoding: {encoding!r} is unknown; an example is latin-1") from None
    except UnicodeError as error:
        place = getattr(error, "start", 0)
        raise InputError(
            f"{path} is not {encoding.upper()} text: byte {place} is {data[place]:#04x}; name its "
            "encoding, for instance --data.encoding latin-1"
        ) from None
    if "\0" in text:
        raise InputError(
            f"{path} is not text, or not in {encoding}: for UTF-16 --data.encoding utf-16-le"
        )
    return text
