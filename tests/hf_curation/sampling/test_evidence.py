"""Evidence: sums over tasks, measures against their definitions, and JSON that comes back the same."""

import json
from itertools import pairwise
from math import exp, log
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.sampling.evidence import ALL_TARGETS, Asked, Evidence, assemble, leak_report
from hf_curation.sampling.features import Featurizer, TextSizes
from hf_curation.sampling.groups import GroupCounts, load_groups, merged, save_groups
from hf_curation.sampling.keys import stable_hash64
from hf_curation.sampling.leakage import LeakIndex
from hf_curation.sampling.loading import load_featurizer
from hf_curation.sampling.measures import LogSums, Overlap, effective_sample_size, kl_divergence, kl_reduction
from hf_curation.sampling.probes import CharNgrams
from hf_curation.sampling.samples import DocumentSample, SampleDocument
from hf_curation.sampling.shifts import find_shifts
from hf_curation.sampling.spec import FeatureSpec

SPEC = FeatureSpec(num_buckets=512)
PROBES = CharNgrams(num_buckets=256)
WHALES = ["The whale sings in the cold sea.", "A whale and her calf swim north.", "Cold seas hold many whales."]
SHOPS = ["Buy now and save on shoes!", "Click here to buy cheap shoes.", "Save more: buy two, pay for one.", ""]


@pytest.fixture(scope="module")
def featurizer() -> Featurizer:
    return load_featurizer(SPEC, backend="plain")


def group(featurizer: Featurizer, texts: list[str], sources: list[str | None] | None = None) -> GroupCounts:
    counts = GroupCounts.empty(SPEC.num_buckets, PROBES)
    counts.add(texts, featurizer.count(texts, counts.features_B), sources, probes=PROBES)
    return counts


def as_plain(counts: GroupCounts) -> dict[str, object]:
    return {name: array.tolist() for name, array in counts.arrays().items()}


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 7), max_size=3))
def test_parts_add_up_to_the_whole_however_it_is_cut(featurizer: Featurizer, cuts: list[int]) -> None:
    texts, sources = [*WHALES, *SHOPS], ["sea", None, "sea", "shop", "shop", "", "a"]
    edges = [0, *sorted(cuts), len(texts)]
    parts = [group(featurizer, texts[a:b], sources[a:b]) for a, b in pairwise(edges)]
    assert as_plain(merged(parts)) == as_plain(group(featurizer, texts, sources))


def test_lengths_fall_into_powers_of_two_and_sources_are_named(featurizer: Featurizer) -> None:
    counts = GroupCounts.empty(1, PROBES)
    counts.add_sizes(np.array([0, 1, 2, 3, 4, 7, 8, 1023, 1024]), [None, "b", "b", "", "a", "a", "a", "a", "a"])
    assert {i: n for i, n in enumerate(counts.lengths.tolist()) if n} == {0: 1, 1: 1, 2: 2, 3: 2, 4: 1, 10: 1, 11: 1}
    assert counts.sources == {"": [2, 3], "b": [2, 3], "a": [5, 4 + 7 + 8 + 1023 + 1024]}
    assert (counts.num_documents, counts.num_tokens) == (9, 2072)
    counts.add(["x"], TextSizes(np.array([5]), np.array([9])), None, probes=None)
    assert counts.sources[""] == [3, 8]
    assert not counts.probes_P.any()


def test_groups_come_back_from_a_file(tmp_path: Path, featurizer: Featurizer) -> None:
    groups = {"raw": group(featurizer, SHOPS, ["é", "b", None, "b"]), "target/with slash": group(featurizer, WHALES)}
    save_groups(tmp_path / "0.npz", groups)
    loaded = load_groups(tmp_path / "0.npz")
    assert {name: as_plain(one) for name, one in loaded.items()} == {n: as_plain(one) for n, one in groups.items()}
    np.savez(tmp_path / "1.npz", other=np.zeros(1))
    with pytest.raises(ValueError, match="group counts"):
        load_groups(tmp_path / "1.npz")
    with pytest.raises(ValueError, match="different features"):
        loaded["raw"].merge(GroupCounts.empty(4, PROBES))


def test_kl_is_the_published_formula() -> None:
    p, q = np.array([3, 1, 0, 0]), np.array([1, 1, 2, 0])
    expected = sum(a * (log(a + 1e-10) - log(b + 1e-10)) for a, b in zip(p / 4, q / 4, strict=True))
    assert kl_divergence(p, q) == pytest.approx(expected, rel=1e-12)
    assert kl_divergence(p, 7 * p) == pytest.approx(0, abs=1e-12)
    assert kl_reduction(p, q, p) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="both sides"):
        kl_divergence(p, 0 * q)
    with pytest.raises(ValueError, match="4 and 2 buckets"):
        kl_divergence(p, q[:2])


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.floats(-1000, 1000), min_size=1, max_size=30),
    shift=st.floats(-1e5, 1e5),
    cut=st.integers(0, 30),
)
def test_effective_sample_size(weights: list[float], shift: float, cut: int) -> None:
    largest = max(weights)
    plain = [exp(one - largest) for one in weights]
    expected = sum(plain) ** 2 / sum(one * one for one in plain)
    whole = effective_sample_size(np.array(weights) + shift)
    assert whole == pytest.approx(expected, rel=1e-6)
    assert 1 - 1e-6 <= whole <= len(weights) * (1 + 1e-6)
    parts = LogSums(), LogSums()
    parts[0].add(np.array(weights[:cut]) + shift)
    parts[1].add(np.array(weights[cut:]) + shift)
    parts[0].merge(parts[1])
    assert parts[0].num_weights == len(weights)
    assert parts[0].effective_size == pytest.approx(whole, rel=1e-6)


def test_effective_sample_size_at_the_edges() -> None:
    assert effective_sample_size(np.array([])) == 0
    assert effective_sample_size(np.array([-np.inf, 0.0])) == 1
    with pytest.raises(ValueError, match="excluded"):
        effective_sample_size(np.array([np.nan]))


def test_overlap_counts_documents() -> None:
    top, drawn = np.array([True, True, False, False]), np.array([True, False, True, False])
    overlap = Overlap().plus(drawn, top).merge(Overlap().plus(drawn[:2], top[:2]))
    assert (overlap.num_chosen, overlap.num_top, overlap.num_both, overlap.num_candidates) == (3, 4, 2, 6)
    assert (overlap.share, overlap.share_by_chance) == (0.5, 0.5)
    assert Overlap().share is None


def test_shifts_name_the_ngrams_that_move_weights(featurizer: Featurizer) -> None:
    target, raw = group(featurizer, WHALES), group(featurizer, [*WHALES, *SHOPS * 5])
    table = np.log((target.features_B + 1) / target.features_B.sum()) - np.log(
        (raw.features_B + 1) / raw.features_B.sum()
    )
    shifts = find_shifts(featurizer, table, WHALES, SHOPS, top=8)
    assert "whale" in [one.ngram for one in shifts.up]
    assert "buy" in [one.ngram for one in shifts.down]
    assert not {one.ngram for one in shifts.up} & {one.ngram for one in shifts.down}
    assert [one.contribution for one in shifts.up] == sorted((one.contribution for one in shifts.up), reverse=True)
    whale = next(one for one in shifts.up if one.ngram == "whale")
    assert whale.target_share == 2 / shifts.num_target_ngrams
    assert whale.contribution == whale.target_share * whale.log_ratio > 0


def test_an_ngram_is_listed_only_where_it_leads_its_bucket() -> None:
    crowded = load_featurizer(FeatureSpec(num_buckets=1), backend="plain")
    shifts = find_shifts(crowded, np.array([0.5]), ["sea sea sea ice"], ["shop"])
    assert [(one.ngram, one.num_sharing) for one in shifts.up] == [("sea", 4)]
    assert shifts.up[0].bucket_share == 3 / 8
    assert shifts.down == ()


def test_the_sample_is_the_same_for_any_cut_and_order() -> None:
    ids = [f"page/{i}" for i in range(200)]

    def sample_of(rows: list[int]) -> DocumentSample:
        sample = DocumentSample(5, seed=3)
        hashes = stable_hash64([ids[i] for i in rows])
        sample.offer("chosen", hashes, np.arange(len(rows)), lambda i: SampleDocument.of(
            ids[rows[i]], "x" * 3000, num_tokens=1, log_weight=0.1))  # fmt: skip
        return sample

    whole = sample_of(list(range(200)))
    parts = [sample_of(list(range(start, 200, 3))) for start in (2, 0, 1)]
    parts[0].merge(parts[1])
    parts[0].merge(DocumentSample.from_dict(orjson.loads(orjson.dumps(parts[2].to_dict()))))
    assert parts[0].documents() == whole.documents()
    assert len(whole.documents()["chosen"]) == 5
    assert (whole.documents()["chosen"][0].num_chars, len(whole.documents()["chosen"][0].text)) == (3000, 1500)
    assert [one.id for one in sample_of([7, 7, 7]).documents()["chosen"]] == ["page/7"] * 3
    with pytest.raises(ValueError, match="stratum"):
        whole.offer("other", stable_hash64(["a"]), np.arange(1), lambda i: None)  # type: ignore[arg-type, return-value]


@pytest.fixture
def evidence(featurizer: Featurizer) -> Evidence:
    raw = group(featurizer, [*WHALES, *SHOPS], ["sea", "sea", "sea", "shop", "shop", None, "b"])
    index = LeakIndex.build([("arc/test", WHALES[0] + WHALES[1])])
    sums = LogSums()
    sums.add(np.array([0.1, 1 / 3, -2e-7]))
    sample = DocumentSample(2)
    sample.offer("chosen", stable_hash64(["a"]), np.arange(1), lambda _: SampleDocument.of(
        "a", "text", num_tokens=1, log_weight=1 / 3, source="sea"))  # fmt: skip
    return assemble(
        asked=Asked(targets=("whales", "north"), budget="1% tokens", raw="web", features=SPEC.describe()),
        targets={"whales": group(featurizer, WHALES[:2]), "north": group(featurizer, WHALES[2:])},
        groups={"raw": raw, "chosen": group(featurizer, [*WHALES, SHOPS[0]]), "random": group(featurizer, SHOPS[:1])},
        log_sums=sums,
        overlap=Overlap(3, 3, 2, 7),
        excluded={"too_short": 2, "leaked": 1},
        quarantined={"empty_text": 1},
        shifts={"whales": find_shifts(featurizer, np.linspace(-1, 1, 512), WHALES, SHOPS)},
        sample=sample,
        leakage=leak_report(index, np.array([4]), index.find_examples(" ".join(WHALES))),
    )


def test_evidence_comes_back_from_json_exactly(evidence: Evidence, tmp_path: Path) -> None:
    evidence.write(tmp_path / "evidence.json")
    assert Evidence.read(tmp_path / "evidence.json") == evidence
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


def test_evidence_compares_the_target_with_every_group(evidence: Evidence) -> None:
    assert [(one.target, one.features) for one in evidence.divergences] == [
        (target, features) for target in (ALL_TARGETS, "whales", "north") for features in ("sampler", "probe")
    ]
    for features in ("sampler", "probe"):
        found = evidence.divergence(features)
        assert found is not None
        assert found.target == ALL_TARGETS
        assert found.nats["chosen"] < found.nats["raw"] < found.nats["random"]
        assert found.reduction("chosen") == found.nats["raw"] - found.nats["chosen"]
        assert found.reduction("top_k") is None
    assert evidence.groups["raw"].sources == {"sea": (3, 22), "shop": (2, 14), "": (1, 10), "b": (1, 0)}
    assert evidence.groups["target:north"].num_documents == 1


def test_what_is_no_evidence_is_refused(tmp_path: Path, evidence: Evidence) -> None:
    path = tmp_path / "evidence.json"
    for data, message in ((b"{", "not JSON"), (b"[]", "no evidence"), (b"{}", "another version")):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message):
            Evidence.read(path)
    values = evidence.to_json()
    del values["groups"]
    with pytest.raises(ValueError, match="groups"):
        Evidence.from_json(values)
    with pytest.raises(ValueError, match="at least one target"):
        assemble(asked=evidence.asked, targets={}, groups={})


def test_a_choice_of_nothing_has_no_distance(featurizer: Featurizer) -> None:
    found = assemble(
        asked=Asked(targets=("whales",), budget="0 documents"),
        targets={"whales": group(featurizer, WHALES)},
        groups={"raw": group(featurizer, SHOPS), "chosen": group(featurizer, [])},
    )
    assert set(found.divergences[0].nats) == {"raw"}
    assert found.divergences[0].reduction("chosen") is None
