"""Leak detection: both readers against sets of tuples of words, and what a person expects of it."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_curation.sampling.leakage import LeakIndex
from hf_curation.sampling.leakage_words import fold_table, ngram_key, window_keys, word_hash, words_of

QUESTION = (
    "Juno warms a cup of cocoa on the stove until bubbles rise. Which kind of energy does the stove give to the cup?"
)
SHORT = "Which gas do green plants take in by day?"
SETS = [("arc", QUESTION), ("arc", "Why?"), ("boolq", SHORT)]


def plain_find(
    texts_by_set: Sequence[tuple[str, str]], texts: Sequence[str], n: int, min_words: int
) -> list[tuple[int, int]]:
    """The slow twin: passages as tuples of words in a dictionary, without any hashing."""
    names = list(dict.fromkeys(name for name, _ in texts_by_set))
    owners: dict[tuple[str, ...], int] = {}
    for name in names:
        for owner, text in texts_by_set:
            words = words_of(text)
            if owner == name and len(words) >= min_words:
                length = min(n, len(words))
                for i in range(len(words) - length + 1):
                    owners.setdefault(tuple(words[i : i + length]), names.index(name))
    lengths = [n, *sorted({len(key) for key in owners} - {n})]
    found = []
    for text in texts:
        words = words_of(text)
        hits = [
            owners[tuple(words[end - length : end])]
            for end in range(len(words) + 1)
            for length in lengths
            if length <= end and tuple(words[end - length : end]) in owners
        ]
        found.append((hits[0] if hits else -1, len(hits)))
    return found


words = st.sampled_from(["a", "b", "C", "éa", "日本", "Σ", "ς", "İ", "x_y", "4", "𝒳", "ß"])
separators = st.sampled_from([" ", "  ", ", ", "\n", "_", "—", "\u200b", ".", "\ud800", "\U000e0041", "🐳", "\u0301"])
texts = st.lists(st.tuples(words, separators), max_size=14).map(lambda parts: "".join(a + b for a, b in parts))


@settings(max_examples=150, deadline=None)
@given(
    held_out=st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), texts), min_size=1, max_size=5),
    pages=st.lists(texts, max_size=5),
    n=st.integers(1, 6),
    min_words=st.integers(1, 6),
)
@example(held_out=[("one", "a b"), ("two", "a b c")], pages=["A, B! c", "", "a b c a b"], n=3, min_words=2)
def test_both_readers_agree_with_tuples_of_words(
    held_out: list[tuple[str, str]], pages: list[str], n: int, min_words: int
) -> None:
    index = LeakIndex.build(held_out, n=n, min_words=min_words)
    pages = [*pages, *(f"x {text} y" for _, text in held_out)]
    expected = plain_find(held_out, pages, n, min(min_words, n))
    for backend in ("fast", "numpy"):
        matches = index.find(pages, backend=backend)
        assert list(zip(matches.set_index.tolist(), matches.num_matches.tolist(), strict=True)) == expected, backend


def test_a_copied_question_is_found_whatever_its_punctuation() -> None:
    index = LeakIndex.build(SETS)
    page = "Quiz night. " + QUESTION.upper().replace(" ", " _ ") + " Answer: heat"
    for backend in ("fast", "numpy"):
        matches = index.find([page, "A page on stoves.", QUESTION[:40]], backend=backend)
        assert matches.set_index.tolist() == [0, -1, -1]
        assert matches.num_matches.tolist() == [len(words_of(QUESTION)) - 12, 0, 0]


def test_one_word_changed_in_every_thirteen_hides_a_copy_and_no_fewer() -> None:
    index = LeakIndex.build([("set", " ".join(f"w{i}" for i in range(40)))])
    changed = [f"w{i}" if i % 13 != 12 else "other" for i in range(40)]
    assert not index.find([" ".join(changed)]).is_leaked.any()
    changed[12] = "w12"
    assert index.find([" ".join(changed)]).num_matches.tolist() == [13]


@pytest.mark.parametrize("place", [0, 4080, 4095, 4096, 4097, 4108, 4109, 8181, 20_000])
def test_a_copy_is_found_wherever_it_stands_in_a_long_text(place: int) -> None:
    """The compiled kernel works in blocks; no border may hide or double a window."""
    index = LeakIndex.build(SETS)
    filler = [f"filler{i}" for i in range(20_000)]
    text = " ".join([*filler[:place], *words_of(QUESTION), *words_of(SHORT), *filler[place:]])
    for backend in ("fast", "numpy"):
        matches = index.find([text, text], backend=backend)
        assert matches.num_matches.tolist() == [len(words_of(QUESTION)) - 12 + 1] * 2
        assert matches.set_index.tolist() == [0, 0]


def test_short_texts_are_matched_whole_and_the_shortest_are_counted() -> None:
    index = LeakIndex.build(SETS)
    assert [(one.name, one.num_texts, one.num_whole, one.num_too_short) for one in index.sets] == [
        ("arc", 2, 0, 1),
        ("boolq", 1, 1, 0),
    ]
    matches = index.find([f"Asked: {SHORT}", SHORT[:-5], "Why?"])
    assert matches.set_index.tolist() == [1, -1, -1]
    assert matches.counts(2).tolist() == [0, 1]


def test_arrow_arrays_of_every_kind_give_what_lists_give() -> None:
    index = LeakIndex.build(SETS)
    pages = ["nothing", QUESTION, None, f"é {SHORT}", ""]
    expected = index.find([page or "" for page in pages])
    array = pa.array(pages)
    forms = [
        array,
        array.cast(pa.large_string()),
        pa.array(["skipped", *pages]).slice(1),
        pa.chunked_array([pages[:2], [], pages[2:]], pa.string()),
    ]
    for form in forms:
        for backend in ("fast", "numpy"):
            found = index.find(form, backend=backend)
            assert (found.set_index.tolist(), found.num_matches.tolist()) == (
                expected.set_index.tolist(),
                expected.num_matches.tolist(),
            )
    assert index.find(pa.array([], pa.string())).set_index.tolist() == []
    with pytest.raises(ValueError, match="int64"):
        index.find(pa.array([1]), backend="fast")


def test_broken_utf8_in_a_column_of_strings_hides_nothing() -> None:
    """Arrow does not check what a Parquet file calls a string."""
    index = LeakIndex.build(SETS)
    data = QUESTION.encode() + b" \xf0" + QUESTION.encode() + b"\xe2\x82"
    cut = len(QUESTION.encode()) + 2
    offsets = np.array([0, cut, len(data)], np.int32)
    array = pa.StringArray.from_buffers(2, pa.py_buffer(offsets), pa.py_buffer(data + bytes(8)))
    assert index.find(array, backend="fast").set_index.tolist() == [0, 0]


def test_the_first_set_owns_a_passage_that_several_hold() -> None:
    index = LeakIndex.build([("two", QUESTION), ("one", QUESTION)])
    assert index.find([QUESTION]).set_index.tolist() == [0]
    assert [one.name for one in index.sets] == ["two", "one"]


def test_examples_show_the_passage_as_it_stands_in_the_page() -> None:
    index = LeakIndex.build(SETS)
    page = f"Before. {QUESTION} After; and {SHORT} The end."
    found = index.find_examples(page, context=8)
    assert [(one.set_name, one.passage) for one in found] == [("arc", QUESTION[:-1]), ("boolq", SHORT[:-1])]
    assert (found[0].before, found[0].after) == ("Before. ", "? After;")
    assert index.find_examples("nothing here") == []


def test_a_saved_index_answers_the_same_and_has_the_same_bytes(tmp_path: Path) -> None:
    index = LeakIndex.build(SETS)
    index.save(tmp_path / "a.npz")
    index.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = LeakIndex.load(tmp_path / "a.npz")
    assert loaded.describe() == index.describe()
    assert loaded.find([QUESTION, SHORT, "no"]).set_index.tolist() == [0, 1, -1]


def test_foreign_files_and_senseless_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="not a leak index"):
        LeakIndex.load(path)
    np.savez(path, keys=np.zeros(1))
    with pytest.raises(ValueError, match="lacks"):
        LeakIndex.load(path)
    with pytest.raises(ValueError, match="no held-out text"):
        LeakIndex.build([])
    with pytest.raises(ValueError, match="at least 1"):
        LeakIndex.build(SETS, n=0)
    with pytest.raises(ValueError, match="backend"):
        LeakIndex.build(SETS).find([], backend="slow")


def test_without_numba_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_curation.sampling.leakage.has_numba", lambda: False)
    monkeypatch.setitem(sys.modules, "hf_curation.sampling.leakage_fast", None)
    assert LeakIndex.build(SETS).find([QUESTION, "no"]).set_index.tolist() == [0, -1]


def test_a_set_of_nothing_but_short_texts_matches_nothing() -> None:
    index = LeakIndex.build([("tiny", "Why not?")])
    for backend in ("fast", "numpy"):
        assert not index.find(["Why not?", ""], backend=backend).is_leaked.any()


def test_hashes_are_what_they_were() -> None:
    """Saved indexes live on: these numbers change only together with `HASH_VERSION`."""
    assert word_hash("whale") == 0x278D639E26DCFEB5
    assert ngram_key(["the", "white", "whale"]) == 0x0DD0F56DEEFE22BB


def test_window_keys_are_the_keys_of_their_words() -> None:
    some = words_of(QUESTION)
    hashes = np.array([word_hash(word) for word in some], np.uint64)
    assert window_keys(hashes, 5).tolist() == [ngram_key(some[i : i + 5]) for i in range(len(some) - 4)]
    assert window_keys(hashes, 99).tolist() == []


def test_the_fold_table_is_the_definition_of_a_word() -> None:
    table = fold_table()
    for code in [*range(0x3000), 0xFF21, 0x10400, 0x1F600, 0xD800]:
        character = chr(code)
        assert (table[code] != 0) == bool(words_of(character)), hex(code)
        if table[code]:
            assert words_of(character) == [chr(table[code])], hex(code)
    assert not any(chr(code).isalnum() for code in range(len(table), 0x110000))
