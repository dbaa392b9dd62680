"""CSV as text: encoding and separator are found and said, every row has as many fields as the header, quotes close.

pyarrow reads the cells. Python's csv module only checks the quotes, which pyarrow does not, and finds line numbers.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from tame.core.errors import DataError, require
from tame.data.labels import without_invisible
from tame.data.table_separator import SAMPLE_RECORDS, advice, records, separated
from tame.data.tables import RawTable

NO_CSV = {  # by how it begins
    r"<(?:!doctype|html|table|\?xml|div|body)": "a page of HTML or XML",
    r"\[?\s*\{\s*\"": "JSON",
    r"@relation\s": "an ARFF file",
    r"version https://git-lfs": "a pointer of Git LFS (git lfs pull fetches the file itself)",
    r"(?:insert into|create table)\s": "SQL",
    r"\|?[^\r\n|]*\|[^\r\n]*[\r\n]+\|?\s*:?-{2,}:?\s*\|[-:|\s]*[\r\n]": "a table in Markdown",
}
MAX_BLOCK = 1 << 30  # pyarrow counts a block in an int32
BOMS = {
    b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")


def read_csv(data: bytes, *, where: str, digest: str) -> RawTable:
    """The cells of a CSV file as text, nothing of them changed. where: what errors call the file.

    Raises DataError, with the line, for a broken encoding, row or quote, and for a table without names or rows.
    """
    text, notes = _decode(data, where)
    require(bool(text.strip()), f"{where} is empty", error=DataError)
    for start, what in NO_CSV.items():
        other = re.match(rf"(?i)\s*(?:{start})", text)
        require(other is None, f"{where} is {what}, not CSV; save the table as CSV", error=DataError)
    hint = re.match(r"(?i)\"?sep=.\"?[\r\n]", text)
    advice = "which is a hint to Excel and not the names of columns; delete that line"
    require(hint is None, f"{where} begins with a line 'sep=', {advice}", error=DataError)
    has_quotes = '"' in text
    if not has_quotes and "\n " in text:
        text = re.sub(r"(?m)^ +(?=\r?$)", "", text)  # a line of blanks is an empty line
    text, separator, said = separated(text)
    notes.append(said)
    gaps, lines = _check_quotes(text, separator, where) if has_quotes else _find_gaps(text)
    if gaps:
        notes.append("empty lines were left out")
    cells = _parse(text, separator, where, has_quotes=has_quotes)
    _check_names([column[0].as_py().strip() for column in cells.columns], where)
    names, said_names = column_names([column[0].as_py() for column in cells.columns], where)
    require(cells.num_rows > 1, f"{where} has a header and no rows", error=DataError)
    again = _repeated(cells, names)
    if again.any():
        require(not again.all(), f"{where} has a header and no rows", error=DataError)
        notes.append(f"lines that repeat the names of the columns were left out: {again.sum()}")
        lines = (np.arange(len(again)) + 2 if lines is None else lines)[~again]
    rows = cells[1:] if not again.any() else cells[1:].filter(pa.array(~again))
    encoded = {name: _encoded(column) for name, column in zip(names, rows.columns, strict=True)}
    numbers = [name for name in names if re.fullmatch(r"[+-]?\d+[.,]\d+", name)]
    if numbers:
        notes.append(f"the first line is taken as the names of the columns, but {numbers[0]!r} looks like a value")
    found = (*notes, *said_names)
    return RawTable(names, _Texts(encoded), found, rows.num_rows, digest, separator, lines, encoded)


def _check_names(names: Sequence[str], where: str) -> None:
    """Raises DataError where quotes stand where they do not quote cells."""
    whole = len(names) == 1 and re.search(r"[^,;\t|][,;\t|][^ ]", names[0]) is not None
    mend = f"quotes stand around the whole first line ({names[0]!r:.60}); quote cells, not lines"
    require(not whole, f"{where}: {mend}", error=DataError)
    odd = [name for name in names if re.fullmatch("\".*\"|'.*'|[\u201c\u201e].*[\u201c\u201d]", name)]
    mend = 'quote cells with " and leave no blank between it and the separator'
    require(not odd, f"{where} has names of columns in other quotes ({(odd or [''])[0]}); {mend}", error=DataError)


def _repeated(cells: pa.Table, names: Sequence[str]) -> np.ndarray:
    """(N,) which rows are the header again: all of its names, two or more, none of them a number."""
    again = np.zeros(cells.num_rows - 1, dtype=bool)
    if len(names) < 2 or any(re.fullmatch(r"[+-]?[\d.,]+", name) for name in names):
        return again
    again[:] = True
    for column in cells.columns:
        same = pc.equal(pc.utf8_trim(column[1:], " \t\ufeff"), column[0].as_py().strip())
        again &= same.to_numpy(zero_copy_only=False)
        if not again.any():
            break
    return again


def read_head(data: bytes) -> tuple[tuple[str, ...], list[list[str]]]:
    """The names of the columns and the first rows of what may be the beginning of a CSV file; nothing if it is not."""
    encoding = next((name for bom, name in BOMS.items() if data.startswith(bom)), "utf-8")
    text = data.decode(encoding, errors="replace").removeprefix("\ufeff")
    if CONTROLS.search(text):
        return (), []
    try:
        text, separator, _ = separated(text)
        found = [record for _, record in islice(records(text, separator), SAMPLE_RECORDS) if record]
        return (column_names(found[0], "")[0], found[1:]) if found else ((), [])
    except (csv.Error, DataError):
        return (), []


class _Texts(Mapping[str, np.ndarray]):
    """Columns as arrays of text, each made when it is asked for: few are."""

    def __init__(self, encoded: Mapping[str, pa.DictionaryArray]) -> None:
        self._encoded = encoded

    def __getitem__(self, name: str) -> np.ndarray:
        return _decoded(self._encoded[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)


def column_names(found: Sequence[str], where: str) -> tuple[tuple[str, ...], list[str]]:
    """The names of the columns, and notes on those that were made up. Raises DataError where two are the same."""
    stripped = [unicodedata.normalize("NFC", without_invisible(name)) for name in found]
    require(any(stripped), f"{where} has no names of columns in its first line", error=DataError)
    twice = [name for name, count in Counter(stripped).items() if name and count > 1]
    if twice:
        places = [str(place) for place, name in enumerate(stripped, start=1) if name == twice[0]]
        also = f" (also twice: {', '.join(map(repr, twice[1:6]))})" if twice[1:] else ""
        raise DataError(f"{where} has several columns named {twice[0]!r}: {', '.join(places)}{also}; rename them")
    names, notes = [], []
    for place, name in enumerate(stripped, start=1):
        given = name or f"column_{place}"
        while not name and given in stripped:
            given += "_"
        names.append(given)
        if not name:
            notes.append(f"column {place} has no name and is called {given!r}")
    return tuple(names), notes


def text_array(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) object array of the texts; equal ones share one object, "" for null."""
    return _decoded(_encoded(column))


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of text with its different cells, "" for null."""
    return column.combine_chunks().fill_null("").dictionary_encode()


def _decoded(encoded: pa.DictionaryArray) -> np.ndarray:
    texts = np.empty(len(encoded.dictionary), dtype=object)
    texts[:] = encoded.dictionary.to_pylist()
    return np.asarray(texts[encoded.indices.to_numpy()])


def _decode(data: bytes, where: str) -> tuple[str, list[str]]:
    """The text without its byte order mark, and what is to be said about its encoding."""
    encoding = next((name for bom, name in BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(encoding)
        said = {"utf-8-sig": "UTF-8 with a byte order mark", "utf-8": "UTF-8"}.get(encoding, encoding.upper())
        notes = [f"encoding: {said}"]
    except UnicodeDecodeError as problem:
        line = data.count(b"\n" if b"\n" in data else b"\r", 0, problem.start) + 1
        place = f"byte 0x{data[problem.start]:02X} on line {line}"
        if encoding != "utf-8":
            raise DataError(f"{where} begins as {encoding.upper()} and is not ({place}); save it as UTF-8") from None
        text, notes = _decode_western(data, place, where)
    found = CONTROLS.search(text)
    if found is not None:
        line = text.count("\n" if "\n" in text else "\r", 0, found.start()) + 1
        if found.group() == "\0" and data[:200].count(0) * 3 > len(data[:200]):
            raise DataError(f"{where} looks like UTF-16 without a byte order mark; save it as UTF-8")
        character = "a NUL byte" if found.group() == "\0" else f"the control character 0x{ord(found.group()):02X}"
        raise DataError(f"{where} holds {character} on line {line}, so it is not a table in text, or it is damaged")
    return text.removeprefix("\ufeff"), notes


def _decode_western(data: bytes, place: str, where: str) -> tuple[str, list[str]]:
    # Letters that UTF-8 does read would be garbled by cp1252, so a mixture of both is refused.
    mixture = bool(re.search(r"[^\x00-\x7f\ufffd]", data.decode("utf-8", errors="replace")))
    try:
        require(not mixture, "", error=DataError)
        text = data.decode("cp1252")
    except (UnicodeDecodeError, DataError):
        raise DataError(f"{where} is neither UTF-8 ({place}) nor entirely in cp1252; save it as UTF-8") from None
    note = f"encoding: not UTF-8 ({place}), so read as cp1252 (Western European); look at letters with accents"
    return text, [note]


def _check_quotes(text: str, separator: str, where: str) -> tuple[bool, np.ndarray | None]:
    """Whether there are empty lines before or between the rows, and the line of each row, None if they are in step.

    Raises DataError where a quote is not closed, or closes inside a cell: pyarrow takes whatever follows into such a
    cell and says nothing.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line, blank, gap = 1, False, False
    starts: list[int] = []
    try:
        for record in reader:
            gap = gap or (blank and bool(record))
            blank = not record
            if record:
                starts.append(line)
            line = reader.line_num + 1
    except csv.Error as problem:
        if "unexpected end" in str(problem):
            said = 'a quote (") that opens in the row of line {} is never closed'
        elif "field larger" in str(problem):
            said = "a cell in the row of line {} is very long; is a quote not closed?"
        else:
            said = 'a quote (") closes inside a cell in the row of line {}; write quotes inside a quoted cell as ""'
        raise DataError(f"{where}: {said.format(line)}") from None
    return gap, _lines(starts)


def _find_gaps(text: str) -> tuple[bool, np.ndarray | None]:
    """As `_check_quotes`, of a text without quotes."""
    body = text.rstrip("\r\n")
    if body[:1] not in ("\r", "\n") and not any(gap in body for gap in ("\n\n", "\n\r\n", "\r\r")):
        return False, None
    lines = enumerate(io.StringIO(body, newline=None), start=1)
    return True, _lines([number for number, line in lines if line != "\n"])


def _lines(starts: list[int]) -> np.ndarray | None:
    """The lines (N,) of the rows, of those of all records; None where each is the one after the one before."""
    if starts == list(range(1, len(starts) + 1)):
        return None
    return np.array(starts[1:], dtype=np.int64)


def _parse(text: str, separator: str, where: str, *, has_quotes: bool) -> pa.Table:
    """All records, the header too, as columns of text."""
    data = text.encode("utf-8")
    header = next(record for _, record in records(text[:MAX_BLOCK], separator) if record)
    names = [str(place) for place in range(len(header))]
    bad: list[arrow_csv.InvalidRow] = []

    def stop(row: arrow_csv.InvalidRow) -> str:
        bad.append(row)
        return "error"

    try:
        return arrow_csv.read_csv(
            pa.BufferReader(data),
            # One thread, else pyarrow does not know the number of a bad row.
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=min(len(data) + 1, MAX_BLOCK), column_names=names
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=separator, newlines_in_values=has_quotes, invalid_row_handler=stop
            ),
            convert_options=arrow_csv.ConvertOptions(
                check_utf8=False, strings_can_be_null=False, null_values=[], auto_dict_encode=False,
                column_types=dict.fromkeys(names, pa.large_string()),
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as problem:
        if not bad:
            raise DataError(f"{where} cannot be read as CSV: {problem}") from None
        starts = (line for line, record in records(text, separator) if record)
        line = next(islice(starts, bad[0].number - 1, None))
        got, expected = bad[0].actual_columns, bad[0].expected_columns
        fields, mend = f"{got} field{'s' * (got != 1)}", advice(text, separator, got, expected)
        raise DataError(f"{where}: line {line} has {fields} and the header has {expected}; {mend}") from None
