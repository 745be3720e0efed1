import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs.lines import split_lines
from hf_curation.refiners.base import Refiner, Stage
from hf_curation.refiners.refine import refine_texts
from hf_curation.refiners.tagger import LineTagger, line_tagger
from hf_curation.refiners.tagger.line_tagger import BLOCK_LINES

ARTICLE = """Skip to content
  • Home
  • News
  • Contact us
  • Log in
Search

Why whales sing at night

Humpback whales sing for hours, and most of them do so after dark. For a long time, nobody could say why. A team that
listened to a bay for three winters now thinks that the answer lies in the noise of ships.

"At night the bay is quiet," says the leader of the team. "A song carries ten times as far, and it costs no more."

The recordings cover 4,000 hours. Songs became longer whenever a ferry line closed, and shorter when it opened again,
which suggests that the animals wait for silence and use it while it lasts.

Share on Facebook
Share on Twitter
Related posts
  • Ten facts about krill
  • The sound of ice
Subscribe to our newsletter
© 2024 The Bay Times. All rights reserved. Privacy policy | Terms of use
"""
NOTES = (
    "The meeting was moved to next Tuesday.",
    "Water boils at a lower temperature on mountains.\n\nThis is why rice takes longer there.",
    "鯨は夜に歌う。湾が静かになると、歌は遠くまで届くからである。" * 20,
    "На ферме живут три лошади и одна старая собака.",
)
POISON = (
    "", " \n\t\n", "\x00", "a\x00b\n\x00", "😀", "\ud800\udfff lone", "שלום עולם\nمرحبا", "x" * 100_000,
    "ab" * 50 + "\r\n\r" * 9,
    "\u2028\x85\x0c\n" * 50, "- " * 5000, "0\n" * 3000, "\u200b", "e\u0301" * 2000,
)  # fmt: skip


@pytest.fixture(scope="module")
def tagger():
    return LineTagger()


@pytest.fixture(scope="module")
def judge():
    return LineTagger(stage=Stage.DOCUMENT)


def test_follows_the_protocol(tagger, judge):
    assert isinstance(tagger, Refiner)
    assert tagger.name.startswith("line-tagger@")
    assert (tagger.stage, judge.stage) == (Stage.CHUNK, Stage.DOCUMENT)


def test_an_article_loses_its_frame_and_keeps_its_body(tagger):
    (refined,) = refine_texts([ARTICLE], tagger)
    assert refined.result.status == "edited"
    for body in ("nobody could say why", "costs no more", "4,000 hours"):
        assert body in refined.result.text
    for frame in ("Log in", "Share on Facebook", "newsletter", "All rights reserved"):
        assert frame not in refined.result.text


@pytest.mark.parametrize("note", NOTES)
def test_short_clean_texts_stay(tagger, judge, note):
    assert refine_texts([note], tagger)[0].result.text == note
    assert refine_texts([note], judge)[0].result.text == note


def test_document_stage_keeps_an_article(judge):
    assert judge.write(judge.windows(ARTICLE))[0].text == "keep_doc()"


@pytest.mark.parametrize("text", POISON, ids=range(len(POISON)))
def test_poison_goes_through(tagger, judge, text):
    for refiner in (tagger, judge):
        (refined,) = refine_texts([text], refiner)
        assert not refined.result.rejected
        assert "unparsed" not in refined.result.fallbacks
    assert tagger.probabilities(text).shape == (len(split_lines(text)),)


@given(st.text(max_size=300))
@settings(max_examples=60)
def test_programs_are_always_executed_whole(tagger, text):
    (refined,) = refine_texts([text], tagger)
    assert not refined.result.rejected
    kept = [line for line in split_lines(refined.result.text) if line.strip()]
    rest = iter(split_lines(text))
    assert all(line in rest for line in kept)  # a subsequence of the page's lines


def test_probabilities_stand_beside_lines(tagger):
    probabilities = tagger.probabilities(ARTICLE)
    lines = split_lines(ARTICLE)
    assert probabilities.shape == (len(lines),)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert probabilities[lines.index("Share on Twitter")] < 0.3 < 0.7 < probabilities[12]


def test_a_batch_is_its_pages_one_by_one(tagger):
    texts = [ARTICLE, NOTES[0], ARTICLE.replace("whale", "dog")]
    together = [r.result.text for r in refine_texts(texts, tagger)]
    assert together == [refine_texts([text], tagger)[0].result.text for text in texts]


def test_pickles_small_and_answers_alike(tagger):
    tagger.probabilities("load the weights")
    packed = pickle.dumps(tagger)
    assert len(packed) < 2_000
    copy = pickle.loads(packed)  # noqa: S301
    assert np.array_equal(copy.probabilities(ARTICLE), tagger.probabilities(ARTICLE))


def test_long_pages_are_cut_into_blocks_that_cover_them(tagger):
    text = "\n".join(f"line {k}" for k in range(2 * BLOCK_LINES + 7))
    windows = tagger.windows(text)
    assert [window.first_line for window in windows] == [0, BLOCK_LINES, 2 * BLOCK_LINES]
    assert "\n".join(text[window.scope.start : window.scope.end] for window in windows) == text
    assert all(window.text == text[window.scope.start : window.scope.end] for window in windows)
    assert tagger.probabilities(text).shape == (2 * BLOCK_LINES + 7,)


def test_later_blocks_edit_their_own_lines(tagger):
    """Line numbers count over the document: each block is edited as if it were a page, and no call misses it."""
    page = [*ARTICLE.split("\n"), *(f"  • Login {k % 7}" for k in range(40))]
    block = (page * (BLOCK_LINES // len(page) + 1))[:BLOCK_LINES]
    [alone] = refine_texts(["\n".join(block)], tagger)
    [together] = refine_texts(["\n".join(block * 2)], tagger)
    assert alone.result.edits, "the block has something to remove"
    assert together.result.rejected == ()
    assert together.result.text == "\n".join([alone.result.text] * 2)


def test_exactly_one_block_is_one_window(tagger):
    assert len(tagger.windows("\n" * (BLOCK_LINES - 1))) == 1
    assert len(tagger.windows("\n" * BLOCK_LINES)) == 2


def test_document_stage_says_how_much_it_read(judge):
    (window,) = judge.windows("word\n" * (2 * BLOCK_LINES))
    assert window.judged_fraction == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["x" * 10_000_000, "word " * 2_000_000, "a\n" * 1_000_000], ids=["run", "words", "lines"]
)
def test_huge_pages_take_seconds(tagger, text):
    begun = time.process_time()
    tagger.write(tagger.windows(text))
    assert time.process_time() - begun < 60


def test_weights_are_checked_when_the_tagger_is_made(tmp_path):
    with pytest.raises(ValueError, match="no weights at"):
        LineTagger(weights=tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="paragraph"):
        LineTagger(stage="paragraph")


def test_needs_no_torch():
    code = (
        "import sys; from hf_curation.refiners.tagger import LineTagger; LineTagger().probabilities('a'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'datatrove')))"
    )
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}, check=False).returncode == 0


def test_the_chunk_stage_takes_over_what_the_document_stage_read_and_says_the_same(monkeypatch):
    pages = [ARTICLE, *NOTES, ARTICLE]
    alone = [[draft.text for draft in LineTagger().write(LineTagger().windows(page))] for page in pages]
    judge, editor, read = LineTagger(Stage.DOCUMENT), LineTagger(), []
    monkeypatch.setattr(LineTagger, "_tag", lambda self, page, tag=LineTagger._tag: read.append(1) or tag(self, page))
    for page in pages:
        judge.write(judge.windows(page))
    after = [[draft.text for draft in editor.write(editor.windows(page))] for page in pages]
    assert after == alone
    assert len(read) == len(pages) + 1  # the page that came twice was remembered once


def test_only_so_many_pages_are_remembered():
    judge = LineTagger(Stage.DOCUMENT)
    judge.write([window for i in range(600) for window in judge.windows(f"{i} sheep sleep.")])
    assert len(line_tagger._REMEMBERED) == line_tagger._MAX_REMEMBERED
