"""`choose` against its plain twin, over all rules together; and what must not matter: order, chunks, memory, JSON."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from hf_curation.sampling.budget import Budget
from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.choice import Choice
from hf_curation.sampling.choose import choose
from hf_curation.sampling.choose_plain import choose_plain
from hf_curation.sampling.rules import ChoiceRules

SOURCES = ("web", "wiki", "code")
TARGETS = ("arc", "piqa", "boolq")


@st.composite
def corpora(draw):
    """Small ones with many ties: of weights, of lengths, of the top bits of hashes."""
    num = draw(st.integers(0, 30))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    num_targets = draw(st.integers(1, 3))
    hashes = rng.permutation(1 << 10)[:num].astype(np.uint64)
    if draw(st.booleans()):
        hashes = hashes << np.uint64(54)
    scale = draw(st.sampled_from([0.0, 0.05, 1.0, 1e3, 1e6]))
    weights = rng.integers(-2, 3, (num, num_targets)) * scale
    return Candidates(
        hashes=hashes,
        log_weights=weights[:, 0] if num_targets == 1 and draw(st.booleans()) else weights,
        num_tokens=rng.integers(0, draw(st.sampled_from([2, 10, 1000])), num),
        sources=rng.integers(-1, len(SOURCES), num).astype(np.int32) if draw(st.booleans()) else None,
        excluded=rng.random(num) < 0.2 if draw(st.booleans()) else None,
    )


def sources_with_shares():
    return st.dictionaries(st.sampled_from(SOURCES), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), max_size=3)


@st.composite
def all_rules(draw, num_targets):
    quotas = draw(sources_with_shares())
    if sum(quotas.values()) > 1:
        quotas = {}
    caps = {name: max(cap, quotas.get(name, 0.0)) for name, cap in draw(sources_with_shares()).items()}
    kind = draw(st.sampled_from(["plain", "caps", "quotas", "both"]))
    return ChoiceRules(
        budget=draw(
            st.builds("{} {}".format, st.integers(0, 40), st.sampled_from(["tokens", "documents"]))
            | st.builds(
                "{}% {}".format, st.sampled_from([0, 1, 20, 50, 99, 100, 170]), st.sampled_from(["tokens", "docs"])
            )
        ),
        seed=draw(st.integers(0, 3)),
        temperature=draw(st.sampled_from([0.1, 5.0])),
        clip=draw(st.none() | st.just(2.0)),
        top_k=draw(st.booleans()),
        proportions=draw(st.none() | st.fixed_dictionaries(dict.fromkeys(TARGETS[:num_targets], st.integers(1, 4)))),
        general_share=draw(st.sampled_from([0.0, 0.0, 0.2, 1.0])),
        source_caps=caps if kind in ("caps", "both") else {},
        source_quotas=quotas if kind in ("quotas", "both") else {},
        max_repeats=draw(st.sampled_from([1, 1, 2, 5])),
        min_tokens=draw(st.sampled_from([0, 1, 5])),
    )


@st.composite
def cases(draw):
    candidates = draw(corpora())
    num_targets = 1 if candidates.log_weights.ndim == 1 else candidates.log_weights.shape[1]
    return candidates, draw(all_rules(num_targets)), TARGETS[:num_targets]


def reader(candidates, cuts=()):
    """Read the candidates in chunks that end at `cuts`, empty ones among them."""
    bounds = [0, *sorted(cut for cut in cuts if cut <= len(candidates)), len(candidates)]
    return lambda: (candidates.take(np.arange(start, stop)) for start, stop in pairwise(bounds))


def size(rules, candidates, copies):
    return int((copies * (candidates.num_tokens if rules.budget.unit == "tokens" else 1)).sum())


@settings(max_examples=200)
@given(cases(), st.lists(st.integers(0, 30), max_size=4), st.sampled_from([1, 3, 1000]), st.randoms())
def test_agrees_with_its_twin_in_any_order_and_chunks_and_memory(case, cuts, max_held, random):
    candidates, rules, targets = case
    names = {"target_names": targets, "source_names": SOURCES}
    plain = choose_plain(candidates, rules, **names)
    order = np.array(random.sample(range(len(candidates)), len(candidates)), dtype=np.int64)
    try:
        choice = choose(reader(candidates.take(order), cuts), rules, **names, max_held=max_held)
    except ValueError as error:
        event("refused")
        cannot_be_met(str(error), plain, candidates, rules)
        return
    event("chosen")
    chosen = Choice.from_dict(json.loads(json.dumps(choice.to_dict()))).of(candidates)
    assert chosen.lane.tolist() == plain.lane.tolist()
    assert chosen.copies.tolist() == plain.copies.tolist()
    the_account_is_right(choice, chosen, candidates)


def cannot_be_met(message, plain, candidates, rules):
    """A refusal is due only if the twin, which takes what it can get, comes short."""
    eligible = candidates.eligible(rules.min_tokens)
    of_source = {name: eligible & (candidates.source_codes() == code) for code, name in enumerate(SOURCES)}
    asked, got = rules.budget.resolve(size(rules, candidates, eligible)), size(rules, candidates, plain.copies)
    if "quota of source" in message:
        assert any(
            size(rules, candidates, plain.copies * of_source[name])
            == size(rules, candidates, of_source[name]) * rules.max_repeats
            and size(rules, candidates, of_source[name]) * rules.max_repeats < share * asked + 4
            for name, share in rules.source_quotas.items()
        )
    else:
        assert "lower the budget" in message
        assert got < asked


def the_account_is_right(choice, chosen, candidates):
    eligible = candidates.eligible(choice.rules.min_tokens)
    assert choice.num_candidates == len(candidates)
    assert choice.eligible.num_documents == eligible.sum()
    assert choice.eligible.num_tokens == candidates.num_tokens[eligible].sum()
    assert choice.total.num_documents == (chosen.lane >= 0).sum() == (chosen.copies > 0).sum()
    assert choice.total.num_copies == chosen.copies.sum()
    assert choice.total.num_tokens == (chosen.copies * candidates.num_tokens).sum()
    assert not (chosen.copies > 0)[~eligible].any()
    for number, name in enumerate(("general", *choice.target_names)):
        assert choice.by_lane[name].num_documents == (chosen.lane == number).sum()
    for code, name in enumerate(SOURCES):
        copies = chosen.copies * (candidates.source_codes() == code)
        amount = choice.by_source[name]
        assert (amount.num_documents, amount.num_copies) == ((copies > 0).sum(), copies.sum())
        assert amount.num_tokens == (copies * candidates.num_tokens).sum()
    got = choice.total.of(choice.unit)
    if choice.unit == "documents":
        assert got == choice.budget
    else:  # every part, of a lane and a quota in it, may cross by less than a document
        num_parts = len(choice.lanes) * (1 + len(choice.rules.source_quotas))
        longest = int(candidates.num_tokens[eligible].max(initial=1))
        assert choice.budget <= got <= choice.budget + num_parts * max(0, longest - 1)


@settings(max_examples=100)
@given(cases(), st.integers(0, 60), st.integers(0, 60))
def test_a_smaller_budget_lies_inside_a_larger_one(case, less, more):
    """For every rule but caps, the copies of every document; see the proof in `rules`."""
    candidates, rules, targets = case
    exact = {name: share for name, share in rules.source_quotas.items() if rules.source_caps.get(name) == share}
    rules = replace(rules, source_caps=exact)
    unit = rules.budget.unit
    smaller, larger = (
        choose_plain(
            candidates,
            replace(rules, budget=Budget.parse(f"{amount} {unit}")),
            target_names=targets,
            source_names=SOURCES,
        )
        for amount in sorted([less, more])
    )
    assert (smaller.copies <= larger.copies).all()


@pytest.mark.parametrize("max_held", [1, 7, 100, 1 << 20])
def test_a_few_thousand_documents_with_few_distinct_keys(max_held):
    rng = np.random.default_rng(0)
    candidates = Candidates(
        hashes=rng.integers(0, 1 << 64, 3000, dtype=np.uint64),
        log_weights=rng.integers(0, 3, (3000, 2)).astype(float),
        num_tokens=rng.integers(0, 100, 3000),
        sources=rng.integers(0, 3, 3000).astype(np.int32),
    )
    rules = ChoiceRules(
        budget="40%",
        top_k=True,
        general_share=0.1,
        source_caps={"web": 0.2},
        source_quotas={"code": 0.5},
        max_repeats=2,
    )
    names = {"target_names": TARGETS[:2], "source_names": SOURCES}
    choice = choose(reader(candidates, range(0, 3000, 500)), rules, **names, max_held=max_held)
    plain = choose_plain(candidates, rules, **names)
    assert choice.of(candidates).copies.tolist() == plain.copies.tolist()
    assert choice.of(candidates).lane.tolist() == plain.lane.tolist()
