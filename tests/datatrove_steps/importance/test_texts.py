"""Reading texts in batches: the same documents, ids and rejects as `ReadDocuments`, whatever the cut."""

import gzip
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from datatrove_steps.importance.texts import Keys, Rejects, read_texts
from datatrove_steps.readers import ReadDocuments
from hf_curation.files.reading import ShardError
from hf_curation.files.sources import find_source, limit_records
from hf_curation.files.spans import deal_spans

ODD_LINES = [
    '{"id": 7, "text": "an integer for an id"}',
    '{"id": "", "text": "an empty id"}',
    '{"id": [1], "text": "a list for an id"}',
    '{"text": "no id", "metadata": {"source": "nested"}}',
    '{"id": "m", "text": "metadata as text", "metadata": "{\\"source\\": \\"written\\"}"}',
    '{"id": "n", "text": "not a number", "x": NaN}',
    '{"id": "s", "text": "half a pair \\ud800"}',
    '{"id": "b", "text": "\\u001c \\u0085\\u3000"}',
    '{"text": null}',
    '{"id": "d", "text": {"a": 1}}',
    "[" * 300 + "]" * 300,
    '{"id": "u", "text": "line\\u2028separator", "source": 3}',
    "",
    "   ",
    '{"id": "broken',
]


KEYS = Keys()


def read_all(path, num_tasks=1, *, keys=KEYS, limit=None, whole=False):
    source = find_source(path)
    source = source if limit is None else limit_records(source, limit)
    rejects = Rejects()
    batches = [
        batch
        for spans in deal_spans(source, num_tasks)
        for batch in read_texts(source, spans, keys, rejects, whole=whole)
    ]
    texts = [
        t for batch in batches for t in (batch.texts if isinstance(batch.texts, list) else batch.texts.to_pylist())
    ]
    ids = [id_ for batch in batches for id_ in batch.ids]
    sources = [one for batch in batches for one in batch.sources]
    return list(zip(ids, texts, strict=True)), dict(rejects.counts), sources


def read_by_the_reader(path, limit=None):
    reader = ReadDocuments(path, limit=limit)
    documents = [(doc.id, doc.text) for doc in reader.run()]
    prefix = "quarantined_"
    counts = {name.removeprefix(prefix): s.total for name, s in reader.stats.stats.items() if name.startswith(prefix)}
    return documents, counts


@pytest.fixture
def odd_file(tmp_path):
    path = tmp_path / "odd.jsonl"
    lines = [
        line for i, line in enumerate(ODD_LINES) for line in (line, json.dumps({"id": f"g{i}", "text": f"good {i}"}))
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode() + b"\n" + b'{"id": "l", "text": "caf\xe9"}\nlast {')
    return path


@pytest.mark.parametrize("num_tasks", [1, 2, 5, 40, 100])
def test_lines_are_read_as_the_reader_reads_them(odd_file, num_tasks):
    documents, rejects, _ = read_all(odd_file, num_tasks)
    assert (documents, rejects) == read_by_the_reader(odd_file)
    assert {"bad_json", "lone_surrogate", "empty_text", "missing_text", "text_not_string", "invalid_utf8"} <= set(
        rejects
    )


@pytest.mark.parametrize("num_tasks", [1, 3])
def test_compressed_lines(odd_file, tmp_path, num_tasks):
    packed = tmp_path / "packed" / "odd.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(odd_file.read_bytes()))
    documents, rejects, _ = read_all(packed, num_tasks)
    assert (documents, rejects) == read_by_the_reader(packed)


@pytest.mark.parametrize("limit", [1, 4, 19])
def test_a_limit_is_of_the_whole(odd_file, limit):
    assert read_all(odd_file, 3, limit=limit)[:2] == read_by_the_reader(odd_file, limit)


@pytest.mark.parametrize("num_tasks", [1, 2, 9])
@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_columns_are_read_as_the_reader_reads_them(tmp_path, num_tasks, kind):
    texts = ["one", None, "three", " \x1c\u3000", "fünf", "", "日本", "eight\r\n"] * 5
    table = pa.table({"id": pa.array([*range(39), None]), "text": pa.array(texts).cast(kind)})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=11)
    documents, rejects, _ = read_all(tmp_path / "a.parquet", num_tasks)
    assert len(documents) == 25
    assert rejects == {"missing_text": 5, "empty_text": 10}
    assert documents[-1] == ("a.parquet/39", "eight\r\n")
    if kind != pa.string_view():  # which the reader has not met
        assert (documents, rejects) == read_by_the_reader(tmp_path / "a.parquet")


def test_bytes_that_are_no_text_in_a_column(tmp_path):
    good, bad = pa.array(["a", "b", "c"]), pa.array([b"x", b"\xff\xfe", b"y"]).cast(pa.binary())
    broken = pa.StringArray.from_buffers(3, bad.buffers()[1], bad.buffers()[2])
    parquet.write_table(pa.table({"id": good, "text": broken}), tmp_path / "a.parquet")
    assert read_all(tmp_path / "a.parquet")[:2] == ([("a", "x"), ("c", "y")], {"invalid_utf8": 1})
    parquet.write_table(pa.table({"id": good, "text": good, "other": broken}), tmp_path / "b.parquet")
    for whole in (False, True):
        assert len(read_all(tmp_path / "b.parquet", whole=whole)[0]) == 3, "only what is read decides"


def test_text_of_another_type(tmp_path):
    parquet.write_table(pa.table({"id": ["a", "b"], "text": pa.array([3, None])}), tmp_path / "a.parquet")
    assert read_all(tmp_path / "a.parquet")[:2] == ([], {"text_not_string": 1, "missing_text": 1})
    with pytest.raises(ValueError, match="no column 'body'; name one with --text-key: id, text"):
        read_all(tmp_path / "a.parquet", keys=Keys(text="body"))


def test_sources_beside_the_text_or_in_the_metadata(odd_file, tmp_path):
    _, _, sources = read_all(odd_file, keys=Keys(source="source"))
    assert {"nested", "written", "3", ""} == set(sources)
    rows = [{"id": "a", "text": "x", "metadata": {"source": "s"}}, {"id": "b", "text": "y", "metadata": None}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert read_all(tmp_path / "a.parquet", keys=Keys(source="source"))[2] == ["s", ""]


def test_ids_by_number(odd_file):
    documents, _, _ = read_all(odd_file, 4, keys=Keys(id=None))
    assert documents[0][0] == "odd.jsonl/0"
    assert len({id_ for id_, _ in documents}) == len(documents)


def test_a_torn_file_is_an_error(tmp_path):
    path = tmp_path / "torn.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "x"}\n' * 10_000)[:-40])
    with pytest.raises(ShardError, match=r"torn\.jsonl\.gz"):
        read_all(path)


@settings(max_examples=40, deadline=None)
@given(
    lines=st.lists(st.sampled_from([*ODD_LINES[:10], "", '{"text": "plain"}']), max_size=30),
    ends_with_newline=st.booleans(),
    num_tasks=st.integers(1, 12),
)
def test_any_cut_reads_the_same(tmp_path_factory, lines, ends_with_newline, num_tasks):
    path = tmp_path_factory.mktemp("cut") / "a.jsonl"
    path.write_text("\n".join(lines) + "\n" * ends_with_newline, encoding="utf-8")
    assert read_all(path, num_tasks) == read_all(path, 1)
