"""Splits are a function of the domain; draws of a seed and an id."""

import hashlib

import pytest

from hf_curation.refiners.training.splits import SPLITS, Draws, SplitRule

DOMAINS = [f"site{i}.example" for i in range(4000)]


def test_shares_are_those_that_were_asked_for():
    rule = SplitRule(validation_fraction=0.25)
    found = [rule.split_of(domain) for domain in DOMAINS]
    assert abs(found.count("test") / len(DOMAINS) - 0.2) < 0.02
    assert abs(found.count("validation") / len(DOMAINS) - 0.8 * 0.25) < 0.02
    assert set(found) == set(SPLITS)


def test_every_domain_is_in_exactly_one_test_fold():
    for domain in DOMAINS[:200]:
        assert [SplitRule(test_fold=fold).split_of(domain) for fold in range(5)].count("test") == 1


def test_folds_are_those_of_the_tagger_benchmark():
    for domain in DOMAINS[:200]:
        fold = int.from_bytes(hashlib.sha256(domain.encode()).digest()[:4], "big") % 5  # recipes' pages.fold_of
        assert (SplitRule(test_fold=fold).split_of(domain)) == "test"


def test_validation_does_not_move_the_test():
    narrow, wide = SplitRule(validation_fraction=0.0), SplitRule(validation_fraction=0.5)
    for domain in DOMAINS:
        assert (narrow.split_of(domain) == "test") == (wide.split_of(domain) == "test")
        assert narrow.split_of(domain) != "validation"


def test_a_page_of_nowhere_is_for_training():
    assert {SplitRule(test_fold=fold).split_of("") for fold in range(5)} == {"train"}


@pytest.mark.parametrize("wrong", [{"test_fold": 5}, {"num_folds": 1}, {"validation_fraction": 1.0}])
def test_impossible_splits(wrong):
    with pytest.raises(ValueError, match="must be"):
        SplitRule(**wrong)


def test_draws_depend_on_seed_purpose_and_id_only():
    first = [Draws(7, "a", "doc").share() for _ in range(3)]
    assert len(set(first)) == 1
    others = [Draws(8, "a", "doc"), Draws(7, "b", "doc"), Draws(7, "a", "docs")]
    assert first[0] not in [other.share() for other in others]
    assert Draws(0, "pinned", "doc/1").below(10**9) == 566_854_370, "files of equal seeds must stay equal"


def test_draws_are_in_range():
    draws = Draws(1, "range", "doc")
    assert {draws.below(3) for _ in range(200)} == {0, 1, 2}
    assert all(0 <= draws.share() < 1 for _ in range(200))
