"""From a base and texts to a folder, whole."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.vocabulary import VOLT_SIZES, AdaptedTokenizer, AdaptSettings, ByteLevelBPE, adapt_tokenizer
from hf_curation.vocabulary.byte_level import text_of
from hf_curation.vocabulary.probes import PROBES

SMALL = {"min_count": 8, "step": 20}


@pytest.fixture(scope="module")
def adapted(base: ByteLevelBPE, texts: list[str]) -> AdaptedTokenizer:
    return adapt_tokenizer(base.to_tokenizer(), texts, new_tokens=60, new_words=25, **SMALL)


def test_size_tokens_and_gain(adapted: AdaptedTokenizer) -> None:
    assert adapted.bpe.size == adapted.base.size == adapted.curve[-1].size
    before, after = adapted.bytes_per_token
    assert after > 1.1 * before
    spans = {len(text_of(change.token).removeprefix(" ").split(" ")) for change in adapted.added}
    assert spans >= {1, 2}
    assert max(spans) <= 4
    assert len(adapted.added) == len(adapted.removed)
    assert adapted.curve[-1].multi_word_share > 0.05


def test_a_person_can_look_at_one(adapted: AdaptedTokenizer) -> None:
    assert len(repr(adapted)) < 3000, "a vocabulary of 128,000 tokens does not belong into a notebook"


@pytest.mark.parametrize(
    ("texts", "message"), [("target.jsonl", "one string, 'target.jsonl'"), (["a", None], "text 1 .* is NoneType")]
)
def test_what_are_no_texts_is_refused(base: ByteLevelBPE, texts: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        adapt_tokenizer(base.to_tokenizer(), texts)


def test_curve_is_what_encoding_gives(adapted: AdaptedTokenizer, texts: list[str]) -> None:
    for bpe, point in ((adapted.base, adapted.curve[0]), (adapted.bpe, adapted.curve[-1])):
        tokenizer = bpe.to_tokenizer()
        ids = [i for text in texts for i in tokenizer.encode(text, add_special_tokens=False).ids]
        assert point.num_tokens == len(ids)
        assert point.types_used == len(set(ids))
        assert point.size == bpe.size
        assert point.unreachable == 0
    counts = {c.token: c.count for c in adapted.added}
    tokens = [t for text in texts for t in adapted.tokenizer.encode(text, add_special_tokens=False).tokens]
    assert counts == {token: tokens.count(token) for token in counts}


def test_merges_across_spaces_are_one_block_at_the_end(adapted: AdaptedTokenizer) -> None:
    crosses = [right.startswith("Ġ") and left.strip("ĠĊ") != "" for left, right in adapted.bpe.merges]
    assert crosses == sorted(crosses)
    assert any(crosses)
    base = [merge for merge in adapted.base.merges if merge in set(adapted.bpe.merges)]
    assert adapted.bpe.merges[: len(base)] == base


def test_saved_folder(adapted: AdaptedTokenizer, texts: list[str], tmp_path: Path) -> None:
    manifest = adapted.save(tmp_path, texts=texts)
    assert manifest == json.loads((tmp_path / "vocabulary_manifest.json").read_text())
    tokenizer = ByteLevelBPE.load(tmp_path).to_tokenizer()
    for probe in manifest["probes"]:
        assert tokenizer.encode(probe["text"], add_special_tokens=False).ids == probe["ids"]
    assert any(text_of(adapted.added[-1].token) == probe["text"] for probe in manifest["probes"])
    curve = json.loads((tmp_path / "vocabulary_curve.json").read_text())
    assert [point["name"] for point in curve["points"]][:3] == ["base", "union", "step 1"]
    assert set(curve["points"][0]) >= {"size", "entropy", "token_length", "utility", "tokens_per_byte", "unreachable"}
    for name, changes in (("added_tokens.tsv", adapted.added), ("removed_tokens.tsv", adapted.removed)):
        header, *rows = (tmp_path / name).read_text("utf-8").splitlines()
        assert header.split("\t")[:4] == ["id", "token", "text", "count"]
        assert [row.split("\t")[1] for row in rows] == [change.token for change in changes]


def test_same_bytes_whatever_the_order(base: ByteLevelBPE, texts: list[str], tmp_path: Path) -> None:
    for name, order in (("a", texts), ("b", texts[::-1])):
        adapt_tokenizer(base.to_tokenizer(), iter(order), new_tokens=40, **SMALL).save(tmp_path / name)
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert len(files) == 6
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}


@given(
    text=st.one_of(
        st.text(max_size=80), st.lists(st.sampled_from([" of", " the", "\r", "  ", "12", "é"])).map("".join)
    )
)
def test_round_trip(adapted: AdaptedTokenizer, text: str) -> None:
    tokenizer = adapted.tokenizer
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


def test_nothing_added_nothing_removed_changes_nothing(base: ByteLevelBPE, texts: list[str]) -> None:
    same = adapt_tokenizer(base.to_tokenizer(), texts, new_tokens=0)
    assert (same.added, same.removed) == ([], [])
    assert same.bpe.vocab == base.vocab
    old, new = base.to_tokenizer(), same.tokenizer
    for text in (*PROBES, *texts[:50]):
        assert new.encode(text).ids == old.encode(text).ids


def test_whole_pre_tokens_that_no_merge_makes(all_splits: ByteLevelBPE, texts: list[str]) -> None:
    """They go first, as step 0, unless the target has them often enough to give them merges."""
    rare = adapt_tokenizer(all_splits.to_tokenizer(), [*texts, "a quxb"], **SMALL)
    gone = {change.token: change for change in rare.removed}
    assert gone["Ġquxb"].step == 0
    assert rare.curve[0].unreachable == rare.figures["base_unreachable"] > 0
    assert rare.figures["base_unreachable_words_in_target"] >= 1
    assert [point.unreachable for point in rare.curve[1:]] == [0] * (len(rare.curve) - 1)
    often = adapt_tokenizer(all_splits.to_tokenizer(), [*texts, *["a quxb"] * 40], **SMALL)
    assert often.figures["base_unreachable_given_a_merge"] >= 1
    assert "quxb" in often.tokenizer.encode("a quxb").tokens[-1]
    assert not often.bpe.ignore_merges
    assert len(often.bpe.merges) < len(all_splits.merges)


@pytest.mark.parametrize("inside", [True, False])
def test_added_tokens_that_read_like_words_stay_what_they_are(
    gpt2_like: ByteLevelBPE, texts: list[str], tmp_path: Path, inside: bool
) -> None:
    """Someone added `xylophones` as a token; the target would have it learned."""
    tokenizer = gpt2_like.to_tokenizer()
    tokenizer.add_tokens(["Ljubljana", "xylophones"])
    body = ByteLevelBPE.load(tokenizer).to_dict()
    if inside:
        body["model"]["vocab"] |= {token["content"]: token["id"] for token in body["added_tokens"]}
    base = ByteLevelBPE.from_json(json.dumps(body))
    adapted = adapt_tokenizer(base.to_tokenizer(), texts, new_tokens=40, **SMALL)
    assert adapted.bpe.size == adapted.base.size
    assert not {"Ljubljana", "xylophones"} & {change.token for change in adapted.added}
    assert [t["content"] for t in adapted.bpe.added_tokens] == [t["content"] for t in base.added_tokens]
    adapted.save(tmp_path)


def test_missing_bytes_are_added(gpt2_like: ByteLevelBPE, texts: list[str], tmp_path: Path) -> None:
    lost = ["Ą", "À"]
    kept = [token for token in gpt2_like.vocab if token not in lost]
    base = ByteLevelBPE(vocab={t: i for i, t in enumerate(kept)}, merges=gpt2_like.merges, body=gpt2_like.body)
    adapted = adapt_tokenizer(base.to_tokenizer(), texts, new_tokens=5, **SMALL)
    assert {change.token for change in adapted.added if change.learned_count is None} == set(lost)
    assert adapted.figures["missing_bytes_added"] == 2
    adapted.save(tmp_path)


@pytest.mark.parametrize("reading", ["used_types", "all_types", "occurrences"])
def test_final_size_and_steps(base: ByteLevelBPE, texts: list[str], reading: str) -> None:
    made = adapt_tokenizer(
        base.to_tokenizer(), texts, new_tokens=30, min_count=8, final_size=330, step=40, steps=5, token_length=reading
    )
    sizes = [point.size for point in made.curve]
    assert made.bpe.size == sizes[-1] == 330
    assert sizes[2:] == [max(330, sizes[1] - 40 * i) for i in range(1, len(sizes) - 1)]
    assert all(point.unreachable == 0 for point in made.curve)


def test_grid_takes_the_size_of_greatest_utility(base: ByteLevelBPE, texts: list[str]) -> None:
    made = adapt_tokenizer(base.to_tokenizer(), texts, new_tokens=30, min_count=8, grid=[300, 330, 360, 390, 5000])
    assert [point.size for point in made.curve[2:]] == [390, 360, 330, 300]
    h = [point.utility["used_types"] for point in made.curve]
    slopes = {i: -(h[i] - h[i + 1]) / (made.curve[i].size - made.curve[i + 1].size) for i in range(2, 5)}
    assert made.chosen == max(slopes, key=slopes.__getitem__)
    assert made.bpe.size == made.curve[made.chosen].size
    fixed = adapt_tokenizer(base.to_tokenizer(), texts, new_tokens=30, min_count=8, grid=[300, 360], final_size=360)
    assert fixed.bpe.size == 360


def test_stop_at_minimum(base: ByteLevelBPE, texts: list[str], caplog: pytest.LogCaptureFixture) -> None:
    settings = {"new_tokens": 30, "min_count": 8, "final_size": 280, "step": 10, "steps": 30}
    whole = adapt_tokenizer(base.to_tokenizer(), texts, **settings)
    h = [point.utility["used_types"] for point in whole.curve]
    first_rise = next(i for i in range(2, len(h)) if h[i] > h[i - 1])
    stopped = adapt_tokenizer(base.to_tokenizer(), texts, **settings, stop_at_minimum=True)
    assert stopped.chosen == first_rise - 1
    assert stopped.bpe.size == whole.curve[first_rise - 1].size
    assert "H_v rises" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"final_size": 100}, "bytes and added tokens"),
        ({"final_size": 300, "step": 10, "steps": 2}, "set steps="),
        ({"min_count": 0}, "min_count must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"token_length": "types"}, "used_types, all_types, occurrences"),
        ({"order": "random"}, "utility, frequency"),
        ({"grid": []}, "grid must hold sizes"),
    ],
)
def test_settings_out_of_range(base: ByteLevelBPE, texts: list[str], settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        adapt_tokenizer(base.to_tokenizer(), texts[:50], **settings)


def test_unknown_setting_is_refused(base: ByteLevelBPE) -> None:
    with pytest.raises(TypeError, match="max_word"):
        adapt_tokenizer(base.to_tokenizer(), ["a"], max_word=3)


def test_adapting_twice_is_refused(adapted: AdaptedTokenizer) -> None:
    with pytest.raises(ValueError, match="adapt the tokenizer that it was made from"):
        adapt_tokenizer(adapted.tokenizer, ["of the"])


def test_one_word_learns_nothing_across_spaces(base: ByteLevelBPE, texts: list[str]) -> None:
    made = adapt_tokenizer(base.to_tokenizer(), texts, max_words=1, **SMALL)
    assert made.figures["learned_across_spaces"] == 0
    assert made.curve[-1].multi_word_share == 0


def test_schedule_of_the_paper() -> None:
    """Ten steps of 10,000 from Llama 3's ids and 100,000 more end at Llama 3's size; down to 10,000 it takes 22."""
    settings = AdaptSettings()
    assert settings.sizes(128_256, 228_256, 512) == [228_256 - 10_000 * i for i in range(1, 11)]
    assert settings.sizes(128_256, 145_289, 512) == [135_289, 128_256]
    assert len(AdaptSettings(final_size=10_000, steps=22).sizes(128_256, 228_256, 512)) == 22
    assert AdaptSettings(grid=VOLT_SIZES).sizes(128_256, 95_000, 512) == [*range(90_000, 0, -10_000)]
