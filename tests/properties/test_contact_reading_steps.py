"""Reading contacts in steps: none is large, whatever the file holds, and all together are in proportion to it.

No test here goes by the wall clock. What one step may do is counted in lines; the time of the processor that it
takes is held against a bound many times what it needs (thread_time stands still while others run), so that only a
mistake of the kind (work that grows with the file, or with the square of a text) is found.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from scfm.contacts_bulk import csv_format, text_lines
from scfm.contacts_bulk.csv_format import CsvReader
from scfm.contacts_bulk.json_lines import JsonLinesReader
from scfm.contacts_bulk.text_lines import Problem, Reader, ReadStep, Row

CHUNK = 1 << 16
# Bytes of the largest line, and what reading any takes at most: on the machine of CI 50 ms.
LINE = 2_000_000
MAX_CPU_SECONDS = 1.0

MARKS = "a" + "\u0301\u0316" * 500
CSV = {
    "an open quote": b'msisdn,name\n+252662345678,"open\n' + b"+252662345679,x\n" * 20_000,
    "an open quote and bad lines": b'msisdn,name\n+252662345678,"open\n' + b"345,x\n" * 20_000,
    "many open quotes": b"msisdn,name\n" + b'+252662345678,"open\n' * 20_000,
    "an open quote and doubled ones": b'msisdn,name\n+252662345678,"open\n' + b'"",""\n' * 20_000,
    "an open quote and empty lines": b'msisdn,name\n+252662345678,"open\n' + b"\n" * 20_000,
    "bad lines": b"msisdn\n" + b"345\n" * 20_000,
    "empty rows": b"msisdn,name\n" + b",\n" * 20_000,
}
LARGE_LINES = {
    "commas": b"msisdn\n" + b"," * LINE + b"\n",
    "quotes": b"msisdn\n" + b'"' * LINE + b"\n",
    "a header of commas": b"msisdn" + b"," * LINE + b"\n",
    "a header of quotes": b"msisdn," + b'"' * LINE + b"\n",
    "a header without an end": b"x" * LINE,
    "returns": b"msisdn\n" + b"\r" * LINE + b"\n",
    "unsorted marks": (
        "msisdn," + ",".join(map(str, range(900))) + "\n+252662345678," + ",".join([MARKS] * 900) + "\n"
    ).encode(),
    "one long text of unsorted marks": f"msisdn,name\n+252662345678,{MARKS * 30}\n".encode(),
    "a header of unsorted marks": ("msisdn," + ",".join(f"{name}{MARKS}" for name in range(60)) + "\n").encode(),
}
JSON_LINES = {
    "lists": b'{"x":[' + b"[]," * (LINE // 3) + b"0]}\n",
    "numbers": b'{"x":[' + b"1.5," * (LINE // 4) + b"0]}\n",
    "digits": b'{"x":' + b"9" * LINE + b"}\n",
    "fractions": b'{"x":0.' + b"9" * LINE + b"}\n",
    "texts": b"{" + b'"":' * (LINE // 3) + b"0}\n",
    "brackets": b"[" * LINE + b"\n",
    "one text": b'{"msisdn":"' + b"9" * LINE + b'"}\n',
    "escapes": b'{"msisdn":"' + b"\\u0301" * (LINE // 6) + b'"}\n',
}


def steps(reader: Reader, content: bytes) -> Iterator[tuple[ReadStep, float]]:
    """What each step gives, and the time of the processor that it took."""
    parts = [reader.feed(content[start : start + CHUNK]) for start in range(0, len(content), CHUNK)]
    for part in (*parts, reader.end()):
        found = iter(part)
        while True:
            before = time.thread_time()
            try:
                one = next(found)
            except StopIteration:
                break
            except Exception:
                yield None, time.thread_time() - before
                return
            yield one, time.thread_time() - before


@pytest.mark.parametrize("name", CSV)
def test_a_step_reads_one_line_and_no_line_is_read_more_than_twice(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    cells = csv_format._cells
    monkeypatch.setattr(csv_format, "_cells", lambda text, separator: parsed.append(text) or cells(text, separator))
    content, most, taken = CSV[name], 0, 0
    for _ in steps(CsvReader(), content):
        most, taken = max(most, len(parsed) - taken), len(parsed)
    assert most <= 2
    assert len(parsed) <= 2 * content.count(b"\n")


def test_an_open_quote_costs_its_line_whatever_follows() -> None:
    found = [one for one, _ in steps(CsvReader(), CSV["an open quote"]) if one is not None]
    assert isinstance(found[0], Problem)
    assert found[0].line == 2
    assert sum(isinstance(one, Row) for one in found) == 20_000


def test_an_open_quote_holds_up_no_more_than_a_lines_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "MAX_LINE", 1000)
    reader = CsvReader()
    list(reader.feed(b'msisdn,name\n+252662345678,"open\n'))
    for _ in range(1000):
        list(reader.feed(b"+252662345679,x\n"))
        assert reader._record is None or len(reader._record.content) <= 1000


def test_empty_lines_are_passed_over_many_at_a_time() -> None:
    lines = 100_000
    for reader in (CsvReader(), JsonLinesReader()):
        found = list(reader.feed(b"\n" * lines))
        assert found == [None] * (lines // text_lines.MAX_EMPTY_LINES)


@pytest.mark.parametrize("name", LARGE_LINES)
def test_no_line_of_csv_takes_long(name: str) -> None:
    assert max(seconds for _, seconds in steps(CsvReader(), LARGE_LINES[name])) < MAX_CPU_SECONDS


@pytest.mark.parametrize("name", JSON_LINES)
def test_no_line_of_json_takes_long(name: str) -> None:
    assert max(seconds for _, seconds in steps(JsonLinesReader(), JSON_LINES[name])) < MAX_CPU_SECONDS
