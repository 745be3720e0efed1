import bz2
import gzip
import io

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from hf_curation.files.reading import (
    ShardError,
    is_parquet,
    is_readable,
    open_lines,
    open_parquet,
    read_lines,
    read_rows,
)

LINES = [b'{"text": "line %d %s"}\n' % (i, b"x" * (i % 70)) for i in range(3000)]
PLAIN = b"".join(LINES)
PACKED = {
    "a.jsonl": PLAIN,
    "a.jsonl.gz": gzip.compress(PLAIN, mtime=0),
    "two.jsonl.gz": gzip.compress(PLAIN[:1000], mtime=0) + gzip.compress(PLAIN[1000:], mtime=0),
    "a.jsonl.zst": zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN),
    "two.jsonl.zst": zstandard.compress(PLAIN[:1000]) + zstandard.compress(PLAIN[1000:]),
    "a.jsonl.bz2": bz2.compress(PLAIN),
}


def lines_of(data, name="a.jsonl.gz", **kwargs):
    return list(read_lines(open_lines(io.BytesIO(data), name), name, **kwargs))


@pytest.mark.parametrize("name", PACKED)
def test_every_packing_gives_the_same_lines(name):
    assert lines_of(PACKED[name], name) == [(i, line, True) for i, line in enumerate(LINES)]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2"])
@pytest.mark.parametrize("tenth", range(10))
def test_a_file_cut_at_every_tenth_is_an_error(name, tenth):
    data = PACKED[name]
    with pytest.raises(ShardError, match=name):
        lines_of(data[: len(data) * tenth // 10], name)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2"])
def test_a_flipped_bit_is_an_error(name):
    data = bytearray(PACKED[name])
    data[len(data) // 2] ^= 8
    with pytest.raises(ShardError, match="damaged"):
        lines_of(bytes(data), name)


def test_the_first_bytes_tell_the_compression_not_the_name():
    assert lines_of(PACKED["a.jsonl.gz"], "a.jsonl") == lines_of(PLAIN, "a.jsonl.gz")
    with pytest.raises(ShardError, match=r"name it \.parquet"):
        lines_of(b"PAR1....", "a.jsonl")


def test_an_empty_plain_file_has_no_lines():
    assert lines_of(b"", "a.jsonl") == []


def test_only_newlines_separate_lines():
    data = "a\u2028b\x0cc\x85d\r\ne\rf\n\ng".encode()
    assert [line for _, line, _ in lines_of(data)] == ["a\u2028b\x0cc\x85d\r\n".encode(), b"e\rf\n", b"\n", b"g"]


@pytest.mark.parametrize("extra", [0, 1, 10, 25])
def test_a_line_over_the_cap_is_skipped_to_its_end(extra):
    data = b"short\n" + b"y" * (10 + extra) + b"\nlast\n"
    assert lines_of(data, max_bytes=11) == [
        (0, b"short\n", True),
        (1, (b"y" * 10 + b"\n" if extra == 0 else b"y" * 11), extra == 0),
        (2, b"last\n", True),
    ]


def test_which_names_are_data():
    good = ["a.jsonl", "b.JSONL.GZ", "c.ndjson.zst", "d.json.gz", "e.parquet", "x/y.jsonl.bz2"]
    bad = ["README.md", "config.json", "a.txt", "a.parquet.gz", "a.gz", "a.jsonl.xz"]
    assert [name for name in good + bad if is_readable(name)] == good
    assert is_parquet("A.PARQUET")
    assert not is_parquet("a.parquet.jsonl")


@pytest.fixture
def parquet_bytes():
    sink = io.BytesIO()
    table = pa.table({"n": list(range(1000)), "text": [f"{i} " * 20 for i in range(1000)]})
    parquet.write_table(table, sink, row_group_size=300)
    return sink.getvalue()


@pytest.mark.parametrize("bounds", [(0, 1000), (0, 1), (299, 301), (450, 450), (999, 1000), (10, 990)])
def test_rows_of_a_range(parquet_bytes, bounds):
    start, stop = bounds
    file = open_parquet(io.BytesIO(parquet_bytes), "a.parquet")
    rows = [
        (first + i, n)
        for first, batch in read_rows(file, "a.parquet", start=start, stop=stop)
        for i, n in enumerate(batch["n"].to_pylist())
    ]
    assert rows == [(i, i) for i in range(start, stop)]


def test_only_needed_row_groups_are_read(parquet_bytes):
    file = open_parquet(io.BytesIO(parquet_bytes), "a.parquet")
    seen = []
    real = file.iter_batches

    class Spy:
        metadata = file.metadata
        num_row_groups = file.num_row_groups

        def iter_batches(self, **kwargs):
            seen.extend(kwargs["row_groups"])
            return real(**kwargs)

    list(read_rows(Spy(), "a.parquet", start=310, stop=620))
    assert seen == [1, 2]


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.99])
def test_parquet_without_its_footer_is_an_error(parquet_bytes, keep):
    size = int(len(parquet_bytes) * keep) if isinstance(keep, float) else keep
    with pytest.raises(ShardError, match=r"a\.parquet: no readable Parquet footer"):
        open_parquet(io.BytesIO(parquet_bytes[:size]), "a.parquet")


def test_a_damaged_page_is_an_error(parquet_bytes):
    data = bytearray(parquet_bytes)
    data[40:200] = bytes(160)
    with pytest.raises(ShardError, match=r"a\.parquet"):
        list(read_rows(open_parquet(io.BytesIO(bytes(data)), "a.parquet"), "a.parquet", start=0, stop=1000))
