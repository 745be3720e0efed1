"""What the figures of a selection mean, in sentences for somebody who has not read the papers.

Every sentence that judges is derived from the figures, and says so when they speak against the choice.
"""

from collections.abc import Sequence
from typing import Any, Final

from hf_curation.reports.visible import clip, number, percent
from hf_curation.sampling.evidence import CHOSEN, RANDOM, Evidence, GroupSummary

MAX_NAMES: Final = 4
_NEAR_TOP: Final = 0.9
_NEAR_CHANCE: Final = 1.5
_NOISE: Final = 0.005


def list_names(names: Sequence[str]) -> str:
    """Return names as an English list, the rest as a number.

    >>> list_names(["a", "b"]), list_names(["a", "b", "c", "d", "e"])
    ('a and b', 'a, b, c, d and 1 more')
    """
    shown = [clip(name, 80) for name in names[:MAX_NAMES]]
    if len(names) > MAX_NAMES:
        shown.append(f"{len(names) - MAX_NAMES} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def asked_in_words(evidence: Evidence) -> list[tuple[str, str]]:
    """Return (name, value) of what the run was asked to do."""
    asked, rules = evidence.asked, evidence.asked.rules
    targets = []
    for name in asked.targets:
        group = evidence.groups.get(f"target:{name}")
        size = f" ({number(group.num_documents)} texts, {number(group.num_tokens)} tokens)" if group else ""
        targets.append(clip(name, 80) + size)
    rows = [
        ("target", "; ".join(targets[:MAX_NAMES]) + (f"; and {len(targets) - MAX_NAMES} more" if targets[4:] else "")),
        ("budget", asked.budget),
        ("features", _features(asked.features)),
        ("weight", _weight(asked.scoring)),
        ("choice", _choice(asked.scoring | rules)),
        ("sources", _source_rules(rules)),
        ("general data", percent(rules["general_share"], 0) if rules.get("general_share") else ""),
        ("seed", str(rules["seed"]) if "seed" in rules else ""),
    ]
    return [(name, clip(value, 600)) for name, value in rows if value]


def _features(spec: dict[str, Any]) -> str:
    if not spec:
        return ""
    words = "lower-case words and punctuation" if spec.get("lower") else "words and punctuation"
    tokens = (
        words if spec.get("tokens") == "words" else f"tokens of {str(spec.get('tokens')).rstrip('/').split('/')[-1]}"
    )
    order = spec.get("max_order", 1)
    runs = "one at a time" if order == 1 else f"in runs of 1 to {order}"
    return f"{tokens}, {runs}, in {number(spec.get('num_buckets', 0))} buckets ({spec.get('hash', '')})"


def _weight(scoring: dict[str, Any]) -> str:
    exponent = scoring.get("length_exponent")
    if exponent is None:
        return ""
    means = {1: "mean log ratio per n-gram", 0: "sum of log ratios over all n-grams (long documents weigh most)"}
    text = means.get(exponent, f"sum of log ratios over n-grams, divided by length to the power of {exponent:g}")
    chunk = scoring.get("chunk_tokens")
    return text + (f", in pieces of {number(chunk)} tokens" if chunk else "")


def _choice(rules: dict[str, Any]) -> str:
    if rules.get("top_k"):
        return "the largest weights, without noise"
    if "temperature" not in rules:
        return ""
    clip_at = f", held within ±{rules['clip']:g}" if rules.get("clip") else ""
    return f"drawn without replacement, temperature {rules['temperature']:g}{clip_at}"


def _source_rules(rules: dict[str, Any]) -> str:
    kinds = (("at most", rules.get("source_caps") or {}), ("at least", rules.get("source_quotas") or {}))
    found = [
        f"{clip(name, 40)} {kind} {percent(share, 0)}" for kind, shares in kinds for name, share in shares.items()
    ]
    return ", ".join(found)


def gain_over_chance(evidence: Evidence) -> float | None:
    """Return KL(target || random) - KL(target || chosen) on features that were not used; None if not measured."""
    found = evidence.divergence("probe")
    return found.nats[RANDOM] - found.nats[CHOSEN] if found and {RANDOM, CHOSEN} <= found.nats.keys() else None


def distance_verdict(evidence: Evidence) -> tuple[bool, str]:
    """Return whether the choice came nearer than chance, and the sentence that says so."""
    probe = evidence.divergence("probe")
    found = probe or evidence.divergence("sampler")
    if found is None or CHOSEN not in found.nats:
        return False, "Nothing was chosen, so there is no distance to measure."
    where = "On features that it did not use" if probe is not None else "On its own features"
    if RANDOM not in found.nats:
        gain = found.reduction(CHOSEN) or 0.0
        return gain > 0, f"{where}, the choice is {abs(gain):.3f} nats {'nearer' if gain > 0 else 'further'}."
    gain = found.nats[RANDOM] - found.nats[CHOSEN]
    if gain > _NOISE:
        share = gain / found.nats[RANDOM] if found.nats[RANDOM] else 0.0
        return True, (
            f"{where}, the choice is {gain:.3f} nats nearer to the target than a random draw of the same size: "
            f"{percent(share, 0)} of the way."
        )
    if gain < -_NOISE:
        return False, (
            f"{where}, the choice is {-gain:.3f} nats further from the target than a random draw of the same size. "
            "It follows keywords into odd documents: raise the temperature or the budget, or give more target text."
        )
    return False, (
        f"{where}, the choice is no nearer to the target than a random draw of the same size. The target may be too "
        "small or too general to tell documents apart by."
    )


def draw_in_words(evidence: Evidence, num_chosen: int) -> list[str]:
    """Return what effective sample size and overlap mean here."""
    sentences = []
    size, total = evidence.effective_size, evidence.num_weights
    if size is not None and total:
        share = percent(size / total)
        sentences.append(
            f"The {number(total)} weights vary as much as if {number(size)} documents ({share}) shared all the weight "
            "and the others had none: this is the effective sample size."
        )
        if num_chosen:
            sentences.append(
                f"The budget takes {number(num_chosen)}, more than that: it reaches past the documents that the "
                "weights single out."
                if num_chosen > size
                else f"The budget takes {number(num_chosen)} of them, so there was something to draw from."
            )
    overlap = evidence.overlap
    if overlap is None or overlap.share is None or overlap.share_by_chance is None:
        return sentences
    by_chance = overlap.share_by_chance
    sentences.append(
        f"Had the largest weights been taken without any noise, {percent(overlap.share)} of them would be in this "
        f"choice too; a draw that ignores the weights would share {percent(by_chance)}."
    )
    if evidence.asked.rules.get("top_k"):
        return sentences
    if overlap.share > _NEAR_TOP:
        sentences.append("This is close to a plain top of the list: a higher temperature gives more variety.")
    elif overlap.share < _NEAR_CHANCE * by_chance:
        sentences.append("This is close to a random draw: a lower temperature follows the weights more.")
    return sentences


def length_in_words(raw: GroupSummary, chosen: GroupSummary) -> str:
    """Return the mean lengths, and whether the choice has a length bias."""
    if not raw.num_documents or not chosen.num_documents:
        return ""
    means = raw.num_tokens / raw.num_documents, chosen.num_tokens / chosen.num_documents
    text = f"Mean length {number(means[0])} tokens in the corpus, {number(means[1])} in the choice."
    ratio = means[1] / means[0] if means[0] else 1.0
    if ratio > 2:
        return f"{text} {ratio:.1f} times as long: sums over n-grams favour long documents, means do not."
    if 0 < ratio < 0.5:
        return f"{text} {1 / ratio:.1f} times as short: a minimum length keeps fragments out."
    return text


def leak_in_words(evidence: Evidence) -> str:
    """Return what was searched for and found."""
    leakage = evidence.leakage
    if leakage is None:
        return "This run did not look for test texts in the corpus."
    total, num_short = sum(leakage.num_documents), sum(one.num_too_short for one in leakage.sets)
    num_texts = sum(one.num_texts for one in leakage.sets) - num_short
    found = "No document" if not total else f"{number(total)} document{'s' if total > 1 else ''}"
    verb = "holds" if total <= 1 else "hold"
    fate = "" if not total else "; none of them could be chosen" if total > 1 else "; it could not be chosen"
    return (
        f"{found} of the corpus {verb} {leakage.n} words in a row of one of {number(num_texts)} held-out texts, or "
        f"the whole of one of {leakage.min_words} to {leakage.n - 1} words{fate}."
    ) + (f" {number(num_short)} more were shorter and not looked for." if num_short else "")
