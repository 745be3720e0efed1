"""What the rules mean, one by one; what is refused, and how."""

import json
import os
import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.choice import Choice, in_both
from hf_curation.sampling.choose import choose, random_choice
from hf_curation.sampling.corpus import EqualIdsError, find_equal_hashes
from hf_curation.sampling.keys import stable_hash64
from hf_curation.sampling.rules import ChoiceRules


def corpus(num, *, seed=0, num_tokens=None, sources=None, num_targets=None, weights=None):
    rng = np.random.default_rng(seed)
    shape = num if num_targets is None else (num, num_targets)
    return Candidates(
        hashes=stable_hash64(f"doc/{i}" for i in range(num)),
        log_weights=rng.normal(size=shape) if weights is None else np.asarray(weights, dtype=float),
        num_tokens=np.asarray(rng.integers(1, 100, num) if num_tokens is None else num_tokens),
        sources=None if sources is None else np.asarray(sources, dtype=np.int32),
    )


def chosen(candidates, budget, *, names=(), targets=("target",), **rules):
    choice = choose(
        lambda: iter([candidates]), ChoiceRules(budget=budget, **rules), source_names=names, target_names=targets
    )
    return choice, choice.of(candidates)


class TestBudgets:
    @pytest.mark.parametrize("budget", ["0 documents", "0 tokens", "0%"])
    def test_nothing(self, budget):
        choice, which = chosen(corpus(5), budget)
        assert (which.lane == -1).all()
        assert choice.total.num_documents == 0

    @pytest.mark.parametrize("budget", ["50 documents", "100%", "100% documents"])
    def test_everything(self, budget):
        choice, which = chosen(corpus(50), budget)
        assert (which.copies == 1).all()
        assert choice.total == choice.eligible

    @pytest.mark.parametrize("budget", ["1 document", "1 token", "1%", "100%", "77 tokens"])
    def test_one_document(self, budget):
        assert chosen(corpus(1, num_tokens=[77]), budget)[1].lane.tolist() == [1]

    @pytest.mark.parametrize("candidates", [corpus(0), corpus(0, num_targets=2), corpus(0, sources=[])])
    def test_no_document(self, candidates):
        targets = ("a", "b") if candidates.log_weights.ndim == 2 else ("a",)
        choice, which = chosen(candidates, "10%", targets=targets)
        assert (choice.budget, len(which.lane)) == (0, 0)
        with pytest.raises(
            ValueError, match=r"asks for 5 documents, but the 0 documents .* have 0; lower the budget$"
        ):
            chosen(candidates, "5 documents", targets=targets)

    def test_nothing_to_read_at_all(self):
        assert choose(lambda: iter([]), ChoiceRules(budget="10%")).total.num_documents == 0

    def test_more_than_there_is_names_both_numbers_and_the_ways_out(self):
        message = r"asks for 51 documents, but the 50 documents that may be chosen have 50; lower .* max_repeats=2 "
        with pytest.raises(ValueError, match=message):
            chosen(corpus(50), "51 documents")
        with pytest.raises(ValueError, match=r"asks for 101 tokens, .* the 2 documents .* have 30; .*max_repeats=4 "):
            chosen(corpus(2, num_tokens=[10, 20]), "101 tokens", max_repeats=3)

    def test_the_last_document_may_cross(self):
        candidates = corpus(4, num_tokens=[30, 30, 30, 30], weights=[3, 2, 1, 0])
        for budget, taken in [(1, 1), (30, 1), (31, 2), (60, 2), (90, 3), (91, 4)]:
            choice, which = chosen(candidates, f"{budget} tokens", top_k=True)
            assert which.copies.tolist() == [1] * taken + [0] * (4 - taken)
            assert (choice.budget, choice.total.num_tokens) == (budget, 30 * taken)

    def test_a_share_is_of_what_may_be_chosen(self):
        candidates = corpus(10, num_tokens=[10] * 10)
        candidates.num_tokens[:2] = 3
        candidates = Candidates(
            hashes=candidates.hashes,
            log_weights=candidates.log_weights,
            num_tokens=candidates.num_tokens,
            excluded=np.arange(10) >= 6,
        )
        choice, which = chosen(candidates, "50%", min_tokens=4)
        assert (choice.num_candidates, choice.eligible.num_documents, choice.budget) == (10, 4, 20)
        assert set(np.flatnonzero(which.copies)) < {2, 3, 4, 5}

    def test_equal_weights_are_a_uniform_draw_that_the_seed_decides(self):
        candidates = corpus(2_000, weights=np.full(2_000, 1e3))
        first, second = (chosen(candidates, "10% documents", seed=seed)[1].copies for seed in (0, 1))
        assert first.sum() == second.sum() == 200
        assert 5 < (first & second).sum() < 45  # 20 expected

    @pytest.mark.parametrize("size", [1e3, 1e6])
    def test_extreme_weights_choose_the_top(self, size):
        candidates = corpus(100, weights=np.where(np.arange(100) < 30, size, -size))
        assert np.flatnonzero(chosen(candidates, "30 documents")[1].copies).tolist() == list(range(30))


class TestLanes:
    def test_proportions_are_of_tokens(self):
        candidates = corpus(5_000, num_targets=2)
        choice, which = chosen(
            candidates, "30000 tokens", targets=("a", "b"), proportions={"a": 1, "b": 3}, general_share=0.2
        )
        assert [lane.limit for lane in choice.lanes] == [6000, 6000, 18000]
        for lane, limit in zip(choice.lanes, (6000, 6000, 18000), strict=True):
            assert limit <= choice.by_lane[lane.name].num_tokens < limit + 100
            assert choice.by_lane[lane.name].num_documents == (which.lane == lane.number).sum()

    def test_the_earlier_target_wins_a_shared_document_and_nothing_is_chosen_twice(self):
        weights = np.array([[9, 9], [8, 0], [0, 8], [1, 1]], dtype=float)
        which = chosen(corpus(4, weights=weights), "2 documents", targets=("a", "b"), top_k=True)[1]
        assert which.lane.tolist() == [1, -1, 2, -1]
        assert which.copies.tolist() == [1, 0, 1, 0]

    def test_general_data_is_a_uniform_sample_whatever_the_weights(self):
        low, high = corpus(1_000, weights=np.arange(1_000.0)), corpus(1_000, weights=-np.arange(1_000.0))
        lanes = [chosen(c, "200 documents", general_share=0.25)[1].lane for c in (low, high)]
        assert np.array_equal(lanes[0] == 0, lanes[1] == 0)
        assert (lanes[0] == 0).sum() == 50
        assert 350 < np.flatnonzero(lanes[0] == 0).mean() < 650
        assert np.flatnonzero(lanes[0] == 1).min() > 700 > 300 > np.flatnonzero(lanes[1] == 1).max()

    def test_the_random_choice_is_another_sample_than_general_data(self):
        candidates, rules = corpus(1_000), ChoiceRules(budget="10% documents", general_share=1.0)
        general, random = choose(lambda: iter([candidates]), rules), random_choice(lambda: iter([candidates]), rules)
        assert general.total.num_documents == random.total.num_documents == 100
        assert in_both(lambda: iter([candidates]), general, random).num_documents < 30

    def test_the_random_choice_needs_no_weights(self):
        candidates = corpus(10, weights=np.full((10, 3), np.nan))
        rules = ChoiceRules(budget="50% docs", proportions={"a": 1}, source_caps={"x": 0.1})
        assert random_choice(lambda: iter([candidates]), rules).total.num_documents == 5

    def test_targets_need_names_of_their_own(self):
        for targets in [("general",), ("a", "a"), ()]:
            with pytest.raises(ValueError, match="targets need different names"):
                chosen(corpus(5), "1%", targets=targets)
        with pytest.raises(ValueError, match="weights for 1 targets, but 2 are named"):
            chosen(corpus(5), "1%", targets=("a", "b"))
        with pytest.raises(ValueError, match=r"proportions are given for \['b'\], but the targets are \['a'\]"):
            chosen(corpus(5), "1%", targets=("a",), proportions={"b": 1})


class TestSources:
    CANDIDATES = corpus(
        1_000, num_tokens=np.full(1_000, 10), sources=np.arange(1_000) % 2, weights=np.arange(1_000) % 2
    )
    NAMES = ("low", "high")

    def shares(self, budget="1000 tokens", **rules):
        choice, _ = chosen(self.CANDIDATES, budget, names=self.NAMES, **rules)
        return {name: amount.num_tokens for name, amount in choice.by_source.items()}

    def test_without_rules_the_better_source_takes_all(self):
        assert self.shares() == {"low": 0, "high": 1000}

    def test_a_cap(self):
        assert self.shares(source_caps={"high": 0.3}) == {"low": 700, "high": 300}

    def test_a_quota_is_a_floor(self):
        assert self.shares(source_quotas={"low": 0.25}) == {"low": 250, "high": 750}
        assert self.shares(source_quotas={"high": 0.25}) == {"low": 0, "high": 1000}

    def test_a_quota_with_the_same_cap_is_exact(self):
        assert self.shares(source_quotas={"high": 0.6}, source_caps={"high": 0.6}) == {"low": 400, "high": 600}

    def test_shares_hold_in_every_lane(self):
        choice, which = chosen(
            self.CANDIDATES, "100 documents", names=self.NAMES, general_share=0.4, source_quotas={"low": 0.5}
        )
        is_low = self.CANDIDATES.sources == 0
        assert (which.copies[is_low & (which.lane == 1)]).sum() == 30
        assert (which.copies[is_low & (which.lane == 0)]).sum() >= 20
        assert choice.total.num_documents == 100

    def test_documents_without_source_are_neither_capped_nor_promoted(self):
        candidates = corpus(100, num_tokens=np.full(100, 1), sources=np.where(np.arange(100) < 50, -1, 0))
        choice, which = chosen(candidates, "50 tokens", names=("web",), source_caps={"web": 0.1})
        assert choice.by_source["web"].num_documents == 5
        assert which.copies[:50].sum() == 45

    def test_caps_that_leave_too_little(self):
        with pytest.raises(ValueError, match=r"leave 600 of the 1000 tokens of the budget; raise a cap"):
            self.shares(source_caps={"low": 0.2, "high": 0.4})

    def test_a_quota_that_its_source_cannot_meet(self):
        message = r"'low' \(0\.8 of the budget\) asks for 6400 tokens, but its documents have 5000; .*max_repeats=2 "
        with pytest.raises(ValueError, match=message):
            self.shares("8000 tokens", source_quotas={"low": 0.8})

    @pytest.mark.parametrize(
        ("rules", "complaint"),
        [
            (
                {"source_caps": {"hihg": 0.1}},
                "caps or quotas name 'hihg', but the candidates' sources are 'low', 'high'",
            ),
            ({"source_caps": {"low": 1.5}}, r"the cap of source 'low' must be in \[0, 1\], got 1.5"),
            ({"source_quotas": {"low": 0.6, "high": 0.6}}, "add up to more than the budget"),
            ({"source_quotas": {"low": 0.6}, "source_caps": {"low": 0.5}}, "a cap of 0.5 below its quota of 0.6"),
        ],
    )
    def test_refuses(self, rules, complaint):
        with pytest.raises(ValueError, match=complaint):
            self.shares(**rules)

    def test_quotas_of_tenths_add_up_to_one(self):
        names = tuple("abcdefghij")
        candidates = corpus(1_000, num_tokens=np.full(1_000, 1), sources=np.arange(1_000) % 10)
        choice, _ = chosen(candidates, "100 tokens", names=names, source_quotas=dict.fromkeys(names, 0.1))
        assert {amount.num_tokens for amount in choice.by_source.values()} == {10}

    def test_caps_are_not_nested_for_neighbouring_budgets(self):
        """The counterexample to the proof in `rules`: two caps grow by a document each, the budget by one."""
        candidates = corpus(7, weights=[7, 6, 5, 4, 3, 2, 1], sources=[0, 0, 0, 1, 1, 1, 2])
        caps = {"a": 0.4, "b": 0.4}
        five, six = (
            chosen(candidates, f"{k} documents", names=("a", "b", "c"), source_caps=caps, top_k=True)[1].copies
            for k in (5, 6)
        )
        assert five.tolist() == [1, 1, 0, 1, 1, 0, 1]
        assert six.tolist() == [1, 1, 1, 1, 1, 1, 0]


class TestRepetition:
    def test_everything_is_taken_before_anything_is_repeated(self):
        candidates = corpus(100, num_tokens=np.full(100, 10))
        choice, which = chosen(candidates, "230%", max_repeats=3)
        assert sorted(which.copies.tolist()) == [2] * 70 + [3] * 30
        assert (choice.total.num_documents, choice.total.num_copies, choice.total.num_tokens) == (100, 230, 2300)
        once = chosen(candidates, "30%", max_repeats=3)[1].copies
        assert np.array_equal(once, which.copies - 2)  # the third copies are the best by key

    def test_a_small_source_is_repeated_for_its_quota_alone(self):
        candidates = corpus(1_000, num_tokens=np.full(1_000, 1), sources=np.arange(1_000) >= 40)
        choice, which = chosen(
            candidates, "500 tokens", names=("small", "large"), source_quotas={"small": 0.2}, max_repeats=3
        )
        assert choice.by_source["small"].num_tokens == 100
        assert set(which.copies[:40].tolist()) == {2, 3}
        assert which.copies[40:].max() == 1

    def test_with_general_data_no_document_is_taken_more_often_than_allowed(self):
        choice, which = chosen(corpus(100), "500%", max_repeats=5, general_share=0.2)
        assert (which.copies == 5).all()
        assert choice.by_lane["general"].num_tokens < 0.25 * choice.total.num_tokens
        assert set(which.lane.tolist()) == {0}  # the first lane that took each


class TestNesting:
    @pytest.mark.parametrize("general_share", [0.0, 0.2])
    def test_one_percent_lies_in_two_percent(self, general_share):
        candidates = corpus(20_000, num_targets=2, sources=np.arange(20_000) % 3)
        samples = [
            chosen(
                candidates,
                budget,
                targets=("a", "b"),
                names=("x", "y", "z"),
                general_share=general_share,
                source_quotas={"x": 0.4},
            )[1].copies
            for budget in ("1%", "1.001%", "2%", "50%")
        ]
        assert samples[0].sum() > 150
        for less, more in pairwise(samples):
            assert (less <= more).all()


class TestFaults:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_weights_that_are_not_finite(self, bad):
        weights = np.zeros(10)
        weights[[3, 7]] = bad
        candidates = corpus(10, weights=weights)
        with pytest.raises(ValueError, match=r"2 of 10 documents have a log weight .* or mark them as excluded"):
            chosen(candidates, "1%")
        excluded = Candidates(
            hashes=candidates.hashes, log_weights=weights, num_tokens=candidates.num_tokens, excluded=weights != 0
        )
        assert chosen(excluded, "100%")[1].copies.sum() == 8

    def test_one_bad_column_is_enough(self):
        weights = np.zeros((10, 2))
        weights[4, 1] = np.nan
        with pytest.raises(ValueError, match="1 of 10 documents"):
            chosen(corpus(10, weights=weights), "1%", targets=("a", "b"))

    @pytest.mark.parametrize("max_held", [1, 2, 100])
    def test_equal_ids(self, max_held):
        candidates = corpus(40)
        candidates.hashes[[7, 35, 20]] = candidates.hashes[3]
        parts = [candidates.take(np.arange(0, 10)), candidates.take(np.arange(10, 40))]
        rules = ChoiceRules(budget="10%")
        with pytest.raises(EqualIdsError, match="3 of 40 documents have the id of another one") as error:
            choose(lambda: iter(parts), rules, max_held=max_held)
        assert error.value.hash == candidates.hashes[3]
        assert choose(lambda: iter(parts), rules, max_held=max_held, check_ids=False).total.num_documents

    def test_equal_ids_that_are_allowed_stand_and_fall_together(self):
        candidates = corpus(10, num_tokens=np.full(10, 1), weights=np.zeros(10))
        candidates.hashes[:4] = candidates.hashes[0]
        for budget in range(1, 11):
            choice, which = chosen(candidates, f"{budget} documents", allow_equal_ids=True)
            assert len(set(which.copies[:4].tolist())) == 1
            assert budget <= choice.total.num_documents == which.copies.sum() < budget + 4

    @pytest.mark.parametrize(
        ("rules", "complaint"),
        [
            ({"temperature": 0}, "for the top of the list set top_k"),
            ({"temperature": float("nan")}, "temperature must be above 0"),
            ({"clip": 0}, "clip must be above 0"),
            ({"general_share": 1.1}, "general_share must be in"),
            ({"max_repeats": 0}, "max_repeats must be between"),
            ({"min_tokens": -1}, "min_tokens must be 0 or more"),
            ({"proportions": {"target": 0}}, "proportions must be above 0"),
            ({"budget": "5000"}, "no unit"),
        ],
    )
    def test_rules(self, rules, complaint):
        with pytest.raises(ValueError, match=complaint):
            ChoiceRules(**{"budget": "1%", **rules})

    def test_candidates(self):
        hashes = np.zeros(3, dtype=np.uint64)
        with pytest.raises(ValueError, match="3 hashes, but 2 num_tokens"):
            Candidates(hashes=hashes, log_weights=np.zeros(3), num_tokens=np.zeros(2, int))
        with pytest.raises(ValueError, match="uint64"):
            Candidates(hashes=hashes.astype(int), log_weights=np.zeros(3), num_tokens=np.zeros(3, int))
        with pytest.raises(ValueError, match="-5 tokens"):
            chosen(corpus(2, num_tokens=[-5, 3]), "1%")
        with pytest.raises(ValueError, match="from -1 to 0, got 0 to 1"):
            chosen(corpus(2, sources=[0, 1]), "1%", names=("a",))
        with pytest.raises(ValueError, match="max_held"):
            choose(lambda: iter([corpus(2)]), ChoiceRules(budget="1%"), max_held=0)


def test_a_reader_that_changes_is_noticed():
    sizes = iter([100, 100, 100, 100, 90])
    with pytest.raises(ValueError, match="gave 100 eligible documents at first and 90 later"):
        choose(lambda: iter([corpus(next(sizes))]), ChoiceRules(budget="10 documents"), max_held=50)


def test_lengths_of_any_integer_type():
    candidates = corpus(3, num_tokens=np.array([2**31 - 1, 2**31 - 1, 5], dtype=np.int32), weights=[2, 1, 0])
    choice, _ = chosen(candidates, "4 documents", max_repeats=2, top_k=True)
    assert choice.total.num_tokens == 3 * (2**31 - 1) + 5


@pytest.mark.parametrize("max_held", [1, 5, 64, 1000])
def test_equal_hashes_are_counted_in_any_number_of_rounds(max_held):
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 300, 200).astype(np.uint64) << np.uint64(55)
    values, counts = np.unique(hashes, return_counts=True)
    expected = (counts - 1).sum(), values[counts > 1].min()
    assert find_equal_hashes(lambda: iter(np.split(hashes, [20, 20, 150])), 200, max_held) == expected


def test_another_process_finds_the_same_documents(tmp_path):
    candidates = corpus(3_000, num_targets=2, sources=np.arange(3_000) % 2)
    choice, which = chosen(
        candidates,
        "130%",
        targets=("a", "b"),
        names=("x", "y"),
        general_share=0.1,
        source_quotas={"x": 0.6},
        max_repeats=3,
    )
    (tmp_path / "choice.json").write_text(json.dumps(choice.to_dict()))
    np.savez(tmp_path / "in.npz", w=candidates.log_weights, n=candidates.num_tokens, s=candidates.sources)
    code = """
import json, sys
import numpy as np
from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.choice import Choice
from hf_curation.sampling.keys import stable_hash64
arrays = np.load(sys.argv[1] + "/in.npz")
hashes = stable_hash64(f"doc/{i}" for i in range(3000))
candidates = Candidates(hashes=hashes, log_weights=arrays["w"], num_tokens=arrays["n"], sources=arrays["s"])
choice = Choice.from_dict(json.load(open(sys.argv[1] + "/choice.json")))
part = np.arange(3000)[::-3]  # any part, in any order
which = choice.of(candidates.take(part))
np.savez(sys.argv[1] + "/out.npz", part=part, lane=which.lane, copies=which.copies)
"""
    environment = os.environ | {"PYTHONHASHSEED": "17"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    there = np.load(tmp_path / "out.npz")
    assert there["lane"].tolist() == which.lane[there["part"]].tolist()
    assert there["copies"].tolist() == which.copies[there["part"]].tolist()
    assert set(which.lane.tolist()) == {0, 1, 2}


def test_a_choice_of_another_version_is_refused():
    values = chosen(corpus(5), "50%")[0].to_dict()
    assert Choice.from_dict(values).to_dict() == values
    with pytest.raises(ValueError, match=r"made with hash 'md5', here it is 'blake2b-64/1'; choose again"):
        Choice.from_dict(values | {"hash": "md5"})
    with pytest.raises(ValueError, match="no such rule: colour"):
        Choice.from_dict(values | {"rules": values["rules"] | {"colour": 1}})


def test_memory_does_not_grow_with_the_corpus():
    def peak(num_chunks):
        def read():
            for chunk in range(num_chunks):
                hashes = np.arange(chunk * 10_000, (chunk + 1) * 10_000, dtype=np.uint64)
                hashes *= np.uint64(0x9E3779B97F4A7C15)
                yield Candidates(hashes=hashes, log_weights=np.zeros(10_000), num_tokens=np.full(10_000, 100))

        tracemalloc.start()
        choice = choose(read, ChoiceRules(budget="5%"), max_held=2_000)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert choice.total.num_documents == choice.eligible.num_documents // 20
        return size

    assert peak(40) < 1.2 * peak(10) < 10e6
