"""One poisonous record among good ones, through each verb: it comes out whole, or is set aside under its reason."""

import json
import unicodedata

import pytest
from pyarrow import parquet

from datatrove_steps.readers import ReadDocuments
from hf_curation.packing import TokenStore


def record(text):
    return json.dumps({"id": "poison", "text": text}).encode()


def raw(text):
    """A record whose text stands in it as it is, not escaped."""
    return b'{"id": "poison", "text": "' + text + b'"}'


E_ACUTE = "Caf\N{LATIN SMALL LETTER E WITH ACUTE}"

# What goes through, byte for byte.
WHOLE = {
    "line separators, escaped": record("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"),
    "line separators, as they are": raw("a\u2028b\u2029c\x85d".encode()),
    "nul": record("before\0after"),
    "crlf in the text": record("one\r\ntwo\r\nthree"),
    "cr in the text": record("one\rtwo\rthree"),
    "crlf after the record": record("one") + b"\r",
    "bom in the text": raw("\ufefftext".encode()),
    "bidi controls": record("\u202eright to left\u202c \u2066isolated\u2069"),
    "zero width": record("ze\u200bro\u200cwi\u200ddth\u2060"),
    "nothing but zero width": record("\u200b\u200d\ufeff"),
    "nfc": record(unicodedata.normalize("NFC", E_ACUTE)),
    "nfd": record(unicodedata.normalize("NFD", E_ACUTE)),
    "an operation written with other letters": record("r\u0435move_lines(0, 9)\nkeep_\u0441hunk()"),
    "an operation": record("remove_lines(line_start=0, line_end=9)\ndrop_doc()"),
    "beyond the basic plane": record("\U0001f40b\U0010ffff"),
    "lines of one character": record("x\n" * 10_000),
    "no id": b'{"text": "nameless"}',
    "an empty id": b'{"id": "", "text": "nameless"}',
    "a number for an id": b'{"id": 7, "text": "seven"}',
}
# What is set aside, and why.
ASIDE = {
    "latin-1": (raw(b"caf\xe9"), "invalid_utf8"),
    "half a character": (raw(b"price \xe2\x82"), "invalid_utf8"),
    "a character in too many bytes": (raw(b"slash \xc0\xaf"), "invalid_utf8"),
    "surrogates as bytes": (raw(b"\xed\xa0\xbd\xed\xb8\x80"), "invalid_utf8"),
    "a high surrogate": (raw(b"\\ud83d"), "lone_surrogate"),
    "a low surrogate": (raw(b"\\ude00 and more"), "lone_surrogate"),
    "surrogates the wrong way round": (raw(b"\\ude00\\ud83d"), "lone_surrogate"),
    "a bom in mid-file": (b"\xef\xbb\xbf" + record("x"), "bad_json"),
    "nul, as it is": (raw(b"a\0b"), "bad_json"),
    "vertical tab, as it is": (raw(b"a\x0bb"), "bad_json"),
    "half a record": (b'{"id": "poison", "te', "bad_json"),
    "two records on a line": (record("a") + record("b"), "bad_json"),
    "a list for a record": (b'["a", "b"]', "not_an_object"),
    "a string for a record": (b'"text"', "not_an_object"),
    "empty": (record(""), "empty_text"),
    "white space only": (record(" \n\t\u3000\u2029"), "empty_text"),
    "a list for the text": (b'{"id": "poison", "text": ["a", "b"]}', "text_not_string"),
    "a number for the text": (b'{"id": "poison", "text": 12345}', "text_not_string"),
    "an object for the text": (b'{"id": "poison", "text": {"a": 1}}', "text_not_string"),
    "null for the text": (b'{"id": "poison", "text": null}', "missing_text"),
    "no text": (b'{"id": "poison", "body": "x"}', "missing_text"),
    "nested too deep": (b'{"text": "x", "deep": ' + b"[" * 600 + b"]" * 600 + b"}", "too_deep"),
}
GOOD = [json.dumps({"id": f"good {i}", "text": f"Good page {i}."}).encode() for i in range(3)]


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """All of them in one file with good records between, without and with a BOM at its start."""
    path = tmp_path_factory.mktemp("poison") / "in.jsonl"
    lines = []
    for number, line in enumerate([*WHOLE.values(), *(line for line, _ in ASIDE.values())]):
        good = json.dumps({"id": f"good {number}", "text": f"Good page {number}."}).encode()
        lines += [line.replace(b'"poison"', b'"poison %d"' % number), good]
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines) + b"\n")
    return path


def texts_of(verb, folder):
    if verb == "tokenize":  # one token a byte, three special ones
        store = TokenStore(folder)
        ids = (store.tokens(number) for number in range(len(store)))
        return sorted(bytes(int(i) - 3 for i in one if i > 2).decode() for one in ids)
    return sorted(doc.text for doc in ReadDocuments(folder).run())


@pytest.mark.parametrize("verb", ["refine", "select", "tokenize"])
def test_poison_comes_out_whole_or_is_set_aside(verb, poisoned, tmp_path, launch, accounts):
    # A guard of 0 keeps what the tagger would edit: then every text must come back as it came.
    more = ["--doc-refiner", "none", "--max-removed-fraction", "0"] if verb == "refine" else []
    assert launch(verb, poisoned, tmp_path / "out", *more) == 0
    num_in, num_out, quarantined = accounts(tmp_path / "out")
    expected = {}
    for _, reason in ASIDE.values():
        expected[reason] = expected.get(reason, 0) + 1
    assert quarantined == expected
    num_poison = len(WHOLE) + len(ASIDE)
    assert (num_in, num_out) == (2 * num_poison, num_poison + len(WHOLE))
    good = [f"Good page {number}." for number in range(num_poison)]
    whole = [json.loads(line)["text"] for line in WHOLE.values()]
    assert texts_of(verb, tmp_path / "out") == sorted(good + whole)
    kept = [row for path in (tmp_path / "out/quarantine").iterdir() for row in path.read_bytes().splitlines()]
    assert len(kept) == len(ASIDE), "what is set aside is kept, and can be looked at"


@pytest.mark.parametrize("reason", sorted({reason for _, reason in ASIDE.values()}))
def test_one_bad_record_costs_no_other(reason, tmp_path, launch, accounts):
    """datatrove 0.10 ends a shard at a bad byte, and a rank at a list for a text: here the records behind it count."""
    (line,) = [line for line, why in ASIDE.values() if why == reason][:1]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([GOOD[0], line, *GOOD[1:]]))
    assert launch("refine", tmp_path / "in.jsonl", tmp_path / "out") == 0
    assert accounts(tmp_path / "out")[2] == {reason: 1}
    assert len(list(ReadDocuments(tmp_path / "out").run())) == 3


@pytest.mark.parametrize(("verb", "code"), [("refine", 0), ("tokenize", 0), ("select", 1)])
def test_equal_ids(verb, code, tmp_path, launch, accounts, capsys):
    """Nothing is lost where an id stands twice; a selection, which draws by ids, refuses to and says which."""
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([*GOOD, GOOD[0].replace(b"Good page", b"Other page")]))
    assert launch(verb, tmp_path / "in.jsonl", tmp_path / "out") == code
    if code == 0:
        assert accounts(tmp_path / "out")[:2] == (4, 4)
    else:
        assert "good 0" in capsys.readouterr().err
        assert not list((tmp_path / "out").glob("data/*"))


def test_a_bad_string_in_a_column(tmp_path, launch, accounts):
    """What JSON cannot say: bytes in a Parquet column of strings that are no UTF-8."""
    import pyarrow as pa

    good = pa.array(["one", "two", "six"])
    data = good.buffers()[2].to_pybytes().replace(b"two", b"t\xffo")
    table = pa.table({"text": pa.Array.from_buffers(pa.string(), 3, [None, good.buffers()[1], pa.py_buffer(data)])})
    parquet.write_table(table, tmp_path / "in.parquet")
    for verb in ("refine", "select", "tokenize"):
        assert launch(verb, tmp_path / "in.parquet", tmp_path / verb) == 0
        assert accounts(tmp_path / verb) == (3, 2, {"invalid_utf8": 1})


@pytest.mark.parametrize("text", ["word " * 2_000_000, "x\n" * 100_000], ids=["10 MB on a line", "10^5 lines"])
def test_large_records(text, tmp_path, launch, accounts):
    """Through the tagger: what is large takes longer and is refined like the rest."""
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([GOOD[0], record(text), GOOD[1]]))
    assert launch("refine", tmp_path / "in.jsonl", tmp_path / "out", "--doc-refiner", "none") == 0
    assert accounts(tmp_path / "out") == (3, 3, {})


def test_a_hundred_megabytes_are_a_record(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([GOOD[0], record("word " * 20_000_000), GOOD[1]]))
    lengths = [len(doc.text) for doc in ReadDocuments(tmp_path / "in.jsonl").run()]
    assert lengths == [12, 100_000_000, 12]
