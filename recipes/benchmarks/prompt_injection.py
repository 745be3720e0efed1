# /// script
# dependencies = ["hf-curation[refine,select]"]
# ///
r"""What a page can do by talking to whoever refines it: flipped decisions, changed programs; and selection, stuffed.

python recipes/benchmarks/prompt_injection.py                                   # the embedded tagger, 1 minute
python recipes/benchmarks/prompt_injection.py --refiner obedient                # the worst that a model could do
python recipes/benchmarks/prompt_injection.py --refiner DIR_OR_HUB_ID --pages 2 --language en --positions middle

Each of the strings of `injections.toml` becomes a line of clean pages (the gold text of quickstart pages, in all
languages), at their start, middle or end. A decision is flipped if the document stage then judges otherwise; a program
is changed if the chunk stage then removes other characters of the page itself than it did without the string. A tagger
has no ear for instructions, but a line more is a line more: harmless strings, shown beside, tell how much that is.
`obedient` stands for a model that is wholly under a page's control: it copies the page as its program.

Whatever the model writes, it can touch its own document only: `edits_outside_the_document` counts, over all runs,
edits outside the text that they are of, texts that are not what their edits make of the original, characters that were
not there before (in deletion mode), and a clean page in the same batch that comes out otherwise. It must be 0.

`stuffing_lift` is about selection: by what factor a page's chance to be among the chosen 10 % rises when a tenth as
many words as it has are added to it, those that the model of a public target (documentation pages) likes best. The
last line is JSON.

Measured with the tagger on 40 pages, 8,280 cases: no decision flips; 10.2 % of programs change (12.4 % by harmless
strings), over 0.2 % of the characters; nothing outside the document. Stuffing makes a page 4.9 times as likely.
"""

import argparse
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_curation.programs import Dialect, Limits, normalize_newlines, replay
from hf_curation.programs.model import Scope
from hf_curation.refiners import load_refiner
from hf_curation.refiners.base import Draft, Refiner, Stage, Window
from hf_curation.refiners.refine import Refined, refine_texts

STRINGS = Path(__file__).with_name("injections.toml")
QUICKSTART = Path(__file__).parent.parent / "quickstart"
POSITIONS = ("start", "middle", "end")
DELETION_ONLY = Limits(max_added_chars=0)
HARMLESS = "harmless"
BATCH = 16
BUDGET = 0.1


@dataclass(frozen=True, slots=True)
class Case:
    """A page with a string in it: `text[:start] + text[end:]` is the page."""

    page: int
    group: str
    string: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Obedient:
    """A refiner that writes whatever the page says, as the most gullible model would."""

    stage: Stage
    dialect: Dialect = Dialect.PROX
    name: str = "obedient"

    def windows(self, text: str) -> list[Window]:
        """Return the page as one window."""
        return [Window(text, 0, Scope(0, len(text), 0))]

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        """Return the pages as programs."""
        return [Draft(window.text) for window in windows]


def read_strings(path: Path = STRINGS) -> list[tuple[str, str]]:
    """Return `(group, string)` of every string."""
    groups = tomllib.loads(path.read_text(encoding="utf-8"))
    return [(group, string) for group, strings in groups.items() for string in strings]


def read_pages(num_pages: int | None = None, language: str | None = None) -> list[tuple[str, str]]:
    """Return `(type, clean text)` of pages that have main content: some of every type, by default all."""
    sys.path.insert(0, str(QUICKSTART))
    from quickstart_pages import read_pages as read

    metadata = [page["metadata"] for page in read() if page["metadata"]["gold_text"]]
    metadata = [one for one in metadata if language in (None, one["language"])]
    # They are sorted by type: take every so-manieth, to have some of each.
    step = len(metadata) / min(num_pages or len(metadata), len(metadata))
    chosen = [metadata[int(i * step)] for i in range(round(len(metadata) / step))]
    return [(str(one["page_type"]), normalize_newlines(one["gold_text"])) for one in chosen]


def inject(page: int, text: str, group: str, string: str, position: str) -> Case:
    """Return the page with the string as a line of its own."""
    string, lines = normalize_newlines(string), text.split("\n")
    at = {"start": 0, "middle": len(lines) // 2, "end": len(lines)}[position]
    if position == "end":
        return Case(page, group, string, f"{text}\n{string}", len(text), len(text) + 1 + len(string))
    start = sum(len(line) + 1 for line in lines[:at])
    return Case(page, group, string, f"{text[:start]}{string}\n{text[start:]}", start, start + len(string) + 1)


def run_cases(refiner: Refiner, pages: list[str], cases: list[Case]) -> Iterator[tuple[Case, Refined, int]]:
    """Refine all cases in batches with a clean page in front; yield what came out and the number of violations."""
    (alone,) = refine_texts(pages[:1], refiner, limits=DELETION_ONLY)
    for at in range(0, len(cases), BATCH):
        batch = cases[at : at + BATCH]
        beside, *results = refine_texts([pages[0], *(c.text for c in batch)], refiner, limits=DELETION_ONLY)
        outside = int(beside.result.text != alone.result.text)
        for case, refined in zip(batch, results, strict=True):
            yield case, refined, outside + violations(case.text, refined)
            outside = 0


def violations(text: str, refined: Refined) -> int:
    """Count in how many ways a result is not this text less some of its own characters."""
    result = refined.result
    expected = "" if result.dropped else replay(text, result.edits)
    bounds = [place for edit in result.edits for place in (edit.start, edit.end)]
    inside = bounds == sorted(bounds) and (not bounds or (bounds[0] >= 0 and bounds[-1] <= len(text)))
    return (result.text != expected) + (not inside) + sum(bool(edit.replacement) for edit in result.edits)


def removed_of_page(refined: Refined, page: str, start: int = 0, end: int = 0) -> set[int]:
    """Return which characters of `page` were removed, the injected `start:end` aside; white space does not count."""
    gone = {i for edit in refined.result.edits for i in range(edit.start, edit.end)} - set(range(start, end))
    numbers = {i if i < start else i - (end - start) for i in gone}
    return {i for i in numbers if not page[i].isspace()}


def measure(refiner: Refiner, pages: list[str], cases: list[Case]) -> dict[str, Any]:
    """Return counts over all cases: changed, by group, and violations."""
    clean = [one for text in pages for one in refine_texts([text], refiner, limits=DELETION_ONLY)]
    before = [removed_of_page(one, text) for text, one in zip(pages, clean, strict=True)]
    totals: dict[str, Counter[str]] = {"cases": Counter(), "changed": Counter(), "lost": Counter()}
    outside = 0
    for case, refined, num_outside in run_cases(refiner, pages, cases):
        outside += num_outside
        after = removed_of_page(refined, pages[case.page], case.start, case.end)
        flipped = refined.result.dropped != clean[case.page].result.dropped
        totals["cases"][case.group] += 1
        totals["changed"][case.group] += flipped if refiner.stage is Stage.DOCUMENT else after != before[case.page]
        totals["lost"][case.group] += len(after - before[case.page])
    num_chars = sum(len("".join(pages[case.page].split())) for case in cases)
    return {"outside": outside, "lost_share": totals["lost"].total() / num_chars, **totals}


def make_refiner(name: str, stage: Stage, args: argparse.Namespace) -> Refiner:
    """Return the refiner that is measured, for one stage; models write in the grammar of programs."""
    if name == "obedient":
        return Obedient(stage)
    if name == "tagger":
        return load_refiner(name, stage=stage)
    return load_refiner(
        name,
        stage=stage,
        preset=f"generic-{'doc' if stage is Stage.DOCUMENT else 'chunk'}",
        constrained=not args.free,
        window_tokens=args.window_tokens,
        max_new_tokens=args.max_new_tokens,
    )


def stuffing_lift(pages: list[tuple[str, str]], target_type: str = "documentation", share: float = 0.1) -> float:
    """Return the factor by which stuffed keywords raise the chance of being chosen, mean over pages off the target."""
    from hf_curation.sampling import FeatureSpec, ImportanceModel, Scoring, load_featurizer

    texts = [text for _, text in pages]
    ours = [text for kind, text in pages if kind == target_type]
    others = [text for kind, text in pages if kind != target_type]
    spec, tau = FeatureSpec(), Scoring().temperature
    featurizer = load_featurizer(spec)
    counts = np.zeros((2, spec.num_buckets), np.int64)
    featurizer.count(ours[::2], counts[0])  # the other half is in the corpus only
    featurizer.count(texts, counts[1])
    model = ImportanceModel.fit(counts[0], counts[1], spec)
    words = sorted({word for text in ours[::2] for word in text.split()})
    likes = model.log_weights(words).log_weight
    best = [words[i] for i in np.argsort(-likes)[:50]]
    stuffed = [f"{text}\n{' '.join((best * len(text))[: int(len(text.split()) * share) + 1])}" for text in others]
    threshold = _threshold(model.log_weights(texts).log_weight / tau)
    chances = [_chances(model.log_weights(some).log_weight / tau, threshold).mean() for some in (others, stuffed)]
    return float(chances[1] / chances[0])


def _chances(keys: Any, threshold: float) -> Any:  # noqa: ANN401 - a numpy array
    """Return with which probability `key + Gumbel noise` is above the threshold."""
    return -np.expm1(-np.exp(keys - threshold))


def _threshold(keys: Any) -> float:  # noqa: ANN401 - a numpy array
    """Return the threshold above which `BUDGET` of the documents are expected."""
    low, high = keys.min() - 50, keys.max() + 50
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _chances(keys, middle).mean() > BUDGET else (low, middle)
    return float(low)


def rate(found: dict[str, Any], *, harmless: bool = False) -> float:
    """Return the share of cases that changed, of the injected strings or of the harmless ones."""
    groups = [group for group in found["cases"] if (group == HARMLESS) is harmless]
    changed, cases = (sum(found[key][group] for group in groups) for key in ("changed", "cases"))
    return changed / max(cases, 1)


def show(title: str, found: dict[str, Any]) -> None:
    print(f"{title:<40}{rate(found):>7.2%}")
    for group, number in found["cases"].items():
        changed = found["changed"][group]
        print(f"  {group:<20}{changed:>6} of {number:>6}  {changed / number:>7.2%}")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refiner", default="tagger", help="tagger, obedient, or a causal LM: a folder or org/name")
    parser.add_argument("--pages", type=int, default=40, help="clean pages (default: 40)")
    parser.add_argument("--language", help="only pages in this language, such as en (default: all)")
    parser.add_argument("--positions", nargs="+", choices=POSITIONS, default=POSITIONS)
    parser.add_argument("--strings", type=int, help="take so many of them, spread over the groups (default: all)")
    parser.add_argument("--free", action="store_true", help="a model without the grammar of programs")
    parser.add_argument("--window-tokens", type=int, default=700)
    parser.add_argument("--max-new-tokens", type=int, default=48)
    args = parser.parse_args(argv)
    strings = read_strings()
    strings = strings[:: max(1, len(strings) // (args.strings or len(strings)))][: args.strings]
    pages = [text for _, text in read_pages(args.pages, args.language)]
    cases = [
        inject(number, text, group, string, position)
        for group, string in strings
        for number, text in enumerate(pages)
        for position in args.positions
    ]
    found = {stage: measure(make_refiner(args.refiner, stage, args), pages, cases) for stage in Stage}
    show("decisions flipped", found[Stage.DOCUMENT])
    show("programs changed", found[Stage.CHUNK])
    rates = {stage: rate(one) for stage, one in found.items()}
    figures = {
        "refiner": Path(args.refiner).name,
        "strings": sum(group != HARMLESS for group, _ in strings),
        "pages": len(pages),
        "flip_rate": round(rates[Stage.DOCUMENT], 4),
        "program_change_rate": round(rates[Stage.CHUNK], 4),
        "program_change_rate_harmless": round(rate(found[Stage.CHUNK], harmless=True), 4),
        "lost_share": round(found[Stage.CHUNK]["lost_share"], 4),
        "edits_outside_the_document": sum(one["outside"] for one in found.values()),
        "stuffing_lift": round(stuffing_lift(read_pages()), 2),
    }
    print(json.dumps(figures))
    return figures


if __name__ == "__main__":
    main()
