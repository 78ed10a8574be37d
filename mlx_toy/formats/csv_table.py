"""Read a table of comma- or tab-separated values."""

import csv
import io
from itertools import islice

from mlx_toy.formats.output import Output, Refused
from mlx_toy.formats.table_text import is_number
from mlx_toy.text_encoding import decode

DELIMITERS = ",;\t|"
SAMPLE_ROWS = 20
SAMPLE_CHARACTERS = 20_000
MAX_CELL = 100_000  # characters


def read(data: bytes, kind: str, out: Output) -> None:
    """Write each row as a line; the first row names the columns unless it has a number."""
    text = decode(data)
    if text is None:
        raise Refused("binary")
    text = text.lstrip("\ufeff")
    delimiter = "\t" if kind == "tsv" else _delimiter(text[:SAMPLE_CHARACTERS])
    if text[:4].lower() == "sep=":  # Excel's own way to say it
        line, _, text = text.partition("\n")
        delimiter = line[4:5] or delimiter
    csv.field_size_limit(MAX_CELL)
    first: list[str] = next(_rows(text, delimiter), [])
    header = len(first) > 1 and not any(map(is_number, first))
    try:
        out.table(_rows(text, delimiter), header)
    except csv.Error as error:
        raise Refused("broken") from error


def _rows(text: str, delimiter: str) -> "csv._reader":  # type: ignore[name-defined]
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _delimiter(sample: str) -> str:
    """The character that cuts the first rows into the same number of cells most often."""

    def fit(delimiter: str) -> tuple[int, int]:
        try:
            widths = [len(row) for row in islice(_rows(sample, delimiter), SAMPLE_ROWS) if row]
        except csv.Error:
            return (0, 0)
        most = max(set(widths), key=widths.count, default=0)
        return (widths.count(most) if most > 1 else 0, most)

    return max(DELIMITERS, key=fit)
