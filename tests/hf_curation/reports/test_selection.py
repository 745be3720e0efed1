"""The page of a selection: what it says follows from the evidence, and no text in it can act."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hf_curation.cli.main import main
from hf_curation.reports.selection import MAX_DOCUMENTS, gather_selection, is_selection
from hf_curation.reports.selection_charts import distance_bars, length_shares, ngram_bars, source_pairs
from hf_curation.reports.selection_render import render_selection
from hf_curation.reports.selection_words import distance_verdict, draw_in_words, leak_in_words, length_in_words
from hf_curation.sampling.evidence import Asked, Divergence, Evidence, GroupSummary, LeakReport
from hf_curation.sampling.leakage import LeakExample
from hf_curation.sampling.leakage_build import LeakSet
from hf_curation.sampling.measures import Overlap
from hf_curation.sampling.samples import SampleDocument
from hf_curation.sampling.shifts import NgramShift, Shifts

EVIL = (
    "<script>document.title='owned'</script>\"' onload=x </p></details>\x00\u202eright\u200b{{ 7 * 7 }} --> </style>"
)


def summary(documents: int, tokens: int, sources: dict[str, tuple[int, int]] | None = None) -> GroupSummary:
    lengths = [0] * 48
    lengths[10], lengths[11] = documents // 2, documents - documents // 2
    return GroupSummary(
        num_documents=documents,
        num_tokens=tokens,
        lengths=tuple(lengths),
        sources=sources or {"web": (documents, tokens)},
    )


def distances(features: str, raw: float, random: float, chosen: float) -> Divergence:
    nats = {"raw": raw, "random": random, "chosen": chosen}
    return Divergence(target="laws", features=features, num_target_ngrams=9, nats=nats)


EVIDENCE = Evidence(
    asked=Asked(
        targets=("laws",),
        budget="1% tokens",
        raw="crawl",
        features={"tokens": "words", "lower": True, "max_order": 2, "num_buckets": 10_000, "hash": "mix64"},
        scoring={"length_exponent": 1.0, "temperature": 0.1, "chunk_tokens": 128, "clip": None},
        rules={"seed": 7, "temperature": 0.1, "general_share": 0.2, "source_caps": {"forum": 0.1}, "top_k": False},
    ),
    groups={
        "raw": summary(10_000, 9_000_000, {"web": (9000, 8_000_000), "court": (1000, 1_000_000)}),
        "chosen": summary(100, 91_000, {"web": (40, 30_000), "court": (60, 61_000)}),
        "random": summary(99, 90_000),
        "target:laws": summary(50, 12_345),
    },
    divergences=(distances("sampler", 0.9, 0.95, 0.4), distances("probe", 0.8, 0.84, 0.63)),
    effective_size=812.4,
    num_weights=9_900,
    overlap=Overlap(100, 100, 62, 9_900),
    excluded={"leaked": 3, "too_short": 97},
    quarantined={"empty_text": 25},
    shifts={
        "laws": Shifts(
            up=(NgramShift("plaintiff", 2.31, 0.01, 0.001, 0.0231, 0.93, 2),),
            down=(NgramShift("click here", -1.8, 0.0001, 0.003, -0.0054, 0.41, 5),),
            num_target_ngrams=24_000,
            num_raw_ngrams=400_000,
        )
    },
    documents={
        "chosen": (
            SampleDocument("a/1", "The court finds.", 9_000, 4, 0.51, "court", "https://example.org/a", None),
            SampleDocument("a/2", "Appeal.", 7, 1, None),
        ),
        "leaked": (SampleDocument("b/9", "A quiz.", 7, 2, 0.1, None, None, "holds a passage of bar/test"),),
    },
    leakage=LeakReport(
        n=13,
        min_words=8,
        sets=(LeakSet("bar/validation", 200, 20, 4), LeakSet("bar/test", 300, 0, 0)),
        num_documents=(0, 3),
        examples=(LeakExample("bar/test", "may a tenant appeal", "Quiz: ", "? Yes."),),
    ),
)


class Page(HTMLParser):
    """Text, attributes and nesting of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.stack, self.pieces = [], [], [], []
        self.feed(html)
        self.close()
        assert self.stack == []
        self.text = re.sub(r"\s+", " ", " ".join(self.pieces))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.pieces.append(data)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "chosen"
    folder.mkdir()
    EVIDENCE.write(folder / "evidence.json")
    plan = {"step": "select", "world_size": 3, "input_fingerprint": "f" * 64, "versions": {"numpy": "2.4"}}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def page_of(folder: Path, evidence: Evidence = EVIDENCE, **options: str) -> tuple[str, Page]:
    report = replace(gather_selection(folder), evidence=evidence)
    html = render_selection(report, **options).decode("utf-8")
    return html, Page(html)


def test_the_page_says_what_the_run_did(run_folder: Path) -> None:
    html, page = page_of(run_folder)
    for words in (
        "From 10,000 documents of crawl, 100 were chosen to be like laws: 1.0 % of the tokens.",
        "laws (50 texts, 12,345 tokens)",
        "lower-case words and punctuation, in runs of 1 to 2, in 10,000 buckets (mix64)",
        "mean log ratio per n-gram, in pieces of 128 tokens",
        "drawn without replacement, temperature 0.1",
        "forum at most 10 %",
        "10,025 in 100 chosen 1.0 % 9,800 left 97.8 % 100 excluded 1.0 % 25 quarantined 0.2 %",
        "empty_text 25 · 100 %",
        "the choice is 0.210 nats nearer to the target than a random draw of the same size: 25 % of the way.",
        "0.630 nats · −0.170",
        "The 9,900 weights vary as much as if 812 documents (8.2 %) shared all the weight",
        "62.0 % of them would be in this choice too; a draw that ignores the weights would share 1.0 %.",
        "11.1 % → 67.0 % × 6.0",
        "plaintiff +2.31 nats",
        "shares its bucket with 5 others; 41 % of it is this one",
        "8,984 more characters",
        "3 documents of the corpus hold 13 words in a row of one of 496 held-out texts",
        "4 more were shorter and not looked for.",
        "bar/test 300 0 3 bar/validation 200 4 0",
        "--weights-of OUTPUT",
        "numpy 2.4",
    ):
        assert words in page.text, words
    assert "<mark>may a tenant appeal</mark>" in html
    assert "a larger budget keeps all" not in page.text  # a source is capped, and caps do not nest
    assert "script" not in page.tags
    assert dict(page.attributes)["href"] == "https://example.org/a"


def test_no_text_can_act(run_folder: Path) -> None:
    document = SampleDocument(EVIL, EVIL * 99, 10**6, 4, 0.5, EVIL, f"javascript:{EVIL}", EVIL)
    shift = NgramShift(EVIL, 1.0, 0.1, 0.1, 0.1, 0.1, 3)
    evil = replace(
        EVIDENCE,
        asked=Asked(
            targets=(EVIL, "b"),
            budget=EVIL,
            raw=EVIL,
            features={"tokens": EVIL, "hash": EVIL},
            rules={"source_caps": {EVIL: 1}, "seed": EVIL},
        ),
        groups={**EVIDENCE.groups, "raw": summary(9, 9, {EVIL: (9, 9), "b": (1, 1)})},
        divergences=(*EVIDENCE.divergences, replace(EVIDENCE.divergences[1], target=EVIL)),
        excluded={EVIL: 3},
        shifts={EVIL: Shifts((shift,), (shift,), 1, 1), "b": Shifts((shift,), (), 1, 1)},
        documents=dict.fromkeys(("chosen", "not_chosen", "leaked"), (document,) * 50),
        leakage=LeakReport(
            n=13, min_words=8, sets=(LeakSet(EVIL),), num_documents=(1,), examples=(LeakExample(*[EVIL] * 4),)
        ),
    )  # fmt: skip
    html, page = page_of(run_folder, evil, title=EVIL)
    assert not {"script", "img", "iframe", "link"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [value for name, value in page.attributes if name == "href" and not value.startswith("#")]
    assert not re.search("[\x00\u202e\u200b]", html)
    assert "{{ 7 * 7 }}" in page.text
    assert "default-src 'none'; style-src 'sha256-" in html
    assert len(html) < 1_000_000


def test_documents_are_limited_and_may_be_none(run_folder: Path) -> None:
    report = gather_selection(run_folder, documents=1)
    assert Page(render_selection(report).decode()).tags.count("details") == 2
    assert "details" not in Page(render_selection(gather_selection(run_folder, documents=0)).decode()).tags
    with pytest.raises(ValueError, match=f"0 to {MAX_DOCUMENTS}"):
        gather_selection(run_folder, documents=MAX_DOCUMENTS + 1)


def test_a_run_that_measured_little_has_a_page_too(run_folder: Path) -> None:
    bare = Evidence(
        asked=Asked(targets=("laws",), budget="0 documents"),
        groups={"raw": summary(0, 0), "chosen": summary(0, 0)},
        divergences=(),
    )
    _, page = page_of(run_folder, bare)
    assert "Nothing was chosen, so there is no distance to measure." in page.text
    assert "This run has not measured it." in page.text
    assert "This run did not look for test texts in the corpus." in page.text


@pytest.mark.parametrize(
    ("chosen", "good", "words"),
    [
        (0.63, True, "0.210 nats nearer"),
        (0.841, False, "no nearer to the target than a random draw"),
        (0.99, False, "0.150 nats further from the target than a random draw"),
    ],
)
def test_the_verdict_follows_from_the_figures(chosen: float, good: bool, words: str) -> None:
    evidence = replace(EVIDENCE, divergences=(distances("probe", 0.8, 0.84, chosen),))
    assert distance_verdict(evidence)[0] is good
    assert words in distance_verdict(evidence)[1]


def test_the_draw_is_called_what_it_is() -> None:
    def told(both: int, size: float, **rules: bool) -> str:
        asked = replace(EVIDENCE.asked, rules={**EVIDENCE.asked.rules, **rules})
        overlap = Overlap(100, 100, both, 9_900)
        return " ".join(draw_in_words(replace(EVIDENCE, asked=asked, overlap=overlap, effective_size=size), 100))

    assert "close to a plain top of the list" in told(95, 12)
    assert "more than that" in told(95, 12)
    assert "close to a random draw" in told(1, 9000)
    assert "something to draw from" in told(50, 812)
    assert "close to" not in told(50, 812)
    assert "close to" not in told(100, 812, top_k=True)


def test_length_bias_is_named() -> None:
    assert "4.0 times as long" in length_in_words(summary(10, 1000), summary(10, 4000))
    assert "5.0 times as short" in length_in_words(summary(10, 1000), summary(10, 200))
    assert "times" not in length_in_words(summary(10, 1000), summary(10, 1200))
    assert length_in_words(summary(0, 0), summary(10, 1)) == ""


def test_leaks_are_counted_in_words() -> None:
    def told(*counts: int) -> str:
        assert EVIDENCE.leakage is not None
        return leak_in_words(replace(EVIDENCE, leakage=replace(EVIDENCE.leakage, num_documents=counts)))

    assert told(0, 0).startswith("No document of the corpus holds")
    assert "it could not be chosen. 4 more were shorter" in told(1, 0)
    sets = tuple(replace(one, num_too_short=0) for one in EVIDENCE.leakage.sets)
    leakage = replace(EVIDENCE.leakage, sets=sets)
    assert leak_in_words(replace(EVIDENCE, leakage=leakage)).endswith("could be chosen.")
    assert told(1, 1).startswith("2 documents of the corpus hold")


def test_bars_keep_their_proportions() -> None:
    rows = {row.label: row for row in distance_bars(distances("probe", 0.8, 0.84, 0.21))}
    assert rows["random draw"].width == 100
    assert rows["the choice"].width == pytest.approx(25)
    assert rows["whole corpus"].text == "0.800 nats"
    up = ngram_bars(EVIDENCE.shifts["laws"].up * 2, "chosen")
    assert [bar.width for bar in up] == [100, 100]


def test_sources_past_the_room_are_one_row() -> None:
    before = {f"s{i:02d}": (1, 100 - i) for i in range(40)} | {"other sources": (1, 7)}
    rows = source_pairs(before, {"s39": (3, 50), "s01": (3, 50)})
    assert [row.label for row in rows[:2]] == ["s01", "s39"]
    assert (rows[-1].label, len(rows)) == ("25 others", 17)
    assert sum(row.before for row in rows) / rows[0].after == pytest.approx(1 / 0.5)
    assert source_pairs({"": (1, 1)}, {})[0].label == "no source given"


def test_lengths_are_shares_of_each_side() -> None:
    plot = length_shares([0, 5, 0, 15], [0, 0, 0, 1])
    heights = [[round(rect[4], 2) for rect in column.rects] for column in plot.columns]
    assert heights == [[40.0, 0.0], [0.0, 0.0], [120.0, 160.0]]
    assert plot.columns[0].title == "1 to 1 tokens: 25.0 % of the corpus, 0 % of the choice"
    assert [tick[1] for tick in plot.x_ticks] == ["1", "2", "4"]


def test_the_command_tells_the_two_kinds_of_run_apart(run_folder: Path, tmp_path: Path, capsys) -> None:
    target = tmp_path / "deep" / "page.html"
    assert is_selection(run_folder)
    assert not is_selection(tmp_path)
    assert main(["report", str(run_folder), "--html", str(target), "--title", "Courts", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "<title>Courts</title>" in target.read_text(encoding="utf-8")
    values = json.loads(out)
    assert values["run"]["tasks"] == 3
    assert values["divergences"][1]["reduction"]["chosen"] == pytest.approx(0.17)
    assert "✓ 100 of 10,000 documents chosen, 1.01% of the tokens" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--html", "x.html", "--seed", "3"], "--seed draws pages of a refining run"),
        (["--html", "x.html", "--sample", "51"], "sample must be 0 to 50"),
        ([], "give --html FILE"),
    ],
)
def test_misuse_is_one_line(run_folder: Path, capsys, arguments: list[str], message: str) -> None:
    assert main(["report", str(run_folder), *arguments]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


def test_an_unfinished_selection_says_so(run_folder: Path, capsys) -> None:
    (run_folder / "evidence.json").unlink()
    assert main(["report", str(run_folder), "--json"]) == 1
    assert "the selection is not finished" in capsys.readouterr().err
