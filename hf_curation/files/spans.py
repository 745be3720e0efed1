"""Who reads what, where the order of the output matters: contiguous spans of records, in the order of the input.

`shares.deal` balances files between tasks and splits a file of lines by strides, so that the files of a run, put one
after the other, hold the documents in an order that depends on the number of tasks. Here task 0 reads the first
records, task 1 the next ones, and so on: whatever is written in reading order is the same for any number of tasks.

The price is that a file of JSON lines which several tasks share has to be gone through once by the launcher, to find
where lines begin (plain: newlines are counted at 2 GB/s and up; compressed: at the speed of decompression). Plain
files are then entered in the middle; a compressed one is read from its beginning by each of its tasks.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, Final

from hf_curation.files.reading import ShardError, is_parquet, open_lines, open_parquet, read_lines
from hf_curation.files.sources import Source, SourceFile

_BLOCK_BYTES: Final = 2**20
_MAGIC: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh")


@dataclass(frozen=True, slots=True)
class Span:
    """The records `start:stop` of file number `file`; a record is a line, blank ones too, or a row."""

    file: int
    start: int = 0
    stop: int | None = None
    """None: to the end."""
    offset: int = 0
    """Where the record `start` begins in a file of plain lines; 0: read from the beginning and skip."""


def deal_spans(source: Source, num_tasks: int) -> list[list[Span]]:
    """Return the spans of every task: together every record once, in order.

    Args:
        source: what is read; the limits of its files count.
        num_tasks: at least 1.

    Raises:
        ValueError: if `num_tasks` is below 1.
        ShardError: if a file that has to be split is damaged, and not left out.
    """
    if num_tasks < 1:
        raise ValueError(f"the number of tasks must be at least 1, got {num_tasks}")
    files = source.files
    if len(files) >= num_tasks:
        edges = _cut([file.num_bytes for file in files], num_tasks)
        return [[Span(i, 0, files[i].stop) for i in range(*edge)] for edge in pairwise(edges)]
    spans: list[list[Span]] = []
    for index, num_parts in enumerate(_num_parts([file.num_bytes for file in files], num_tasks)):
        spans += [[span] for span in _split(source, index, num_parts)]
    return spans


def _cut(sizes: Sequence[int], num_tasks: int) -> list[int]:
    """Return where each task's run of files begins, and the end; every task gets one at least, about equal bytes."""
    total, edges, seen = sum(sizes), [0], 0
    for i, size in enumerate(sizes):
        task = len(edges)  # the one that would begin here
        if i > edges[-1] and task < num_tasks:
            is_full = seen + size / 2 > total * task / num_tasks
            if is_full or len(sizes) - i == num_tasks - task:
                edges.append(i)
        seen += size
    return [*edges, len(sizes)]


def _num_parts(sizes: Sequence[int], num_tasks: int) -> list[int]:
    """Each file gets one part, and each further part goes where a part is largest; the first of equals."""
    parts = [1] * len(sizes)
    for _ in range(num_tasks - len(sizes)):
        largest = max(range(len(sizes)), key=lambda i: (sizes[i] / parts[i], -i))
        parts[largest] += 1
    return parts


def _split(source: Source, index: int, num_parts: int) -> list[Span]:
    file = source.files[index]
    if num_parts == 1:
        return [Span(index, 0, file.stop)]
    try:
        num_records, marks = _index_records(source, file)
    except ShardError:
        if file.bad is None:
            raise
        return [Span(index, 0, file.stop), *[Span(index, 0, 0)] * (num_parts - 1)]
    if file.stop is not None:
        num_records = min(num_records, file.stop)
    starts = [num_records * part // num_parts for part in range(num_parts)]
    offsets = _offsets(source, file, marks, starts) if marks else [0] * num_parts
    stops = [*starts[1:], num_records]
    return [Span(index, *parts) for parts in zip(starts, stops, offsets, strict=True)]


def _index_records(source: Source, file: SourceFile) -> tuple[int, list[int]]:
    """Return the number of records and, of plain lines, how many newlines lie before each block of 1 MiB."""
    with source.open(file) as raw:
        if is_parquet(file.name):
            return open_parquet(raw, file.name).metadata.num_rows, []
        head = raw.read(4)
        raw.seek(0)
        if head.startswith(_MAGIC):
            return sum(1 for _ in read_lines(open_lines(raw, file.name), file.name)), []
        marks, num_lines, last = [0], 0, b"\n"
        while block := _read_block(raw):
            num_lines += block.count(b"\n")
            marks.append(num_lines)
            last = block[-1:]
        return num_lines + (last != b"\n"), marks


def _offsets(source: Source, file: SourceFile, marks: list[int], starts: list[int]) -> list[int]:
    """Return the byte at which each line of `starts` begins."""
    offsets = []
    with source.open(file) as raw:
        for start in starts:
            if start == 0:
                offsets.append(0)
                continue
            block_index = bisect_left(marks, start) - 1  # the block that ends line number start - 1
            raw.seek(block_index * _BLOCK_BYTES)
            block = _read_block(raw)
            at = -1
            for _ in range(start - marks[block_index]):
                at = block.index(b"\n", at + 1)
            offsets.append(block_index * _BLOCK_BYTES + at + 1)
    return offsets


def _read_block(raw: BinaryIO) -> bytes:
    """Read 1 MiB, or what is left; a remote file may hand out less at a time."""
    parts, missing = [], _BLOCK_BYTES
    while missing and (part := raw.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
