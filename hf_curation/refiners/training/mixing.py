"""Which of a set's examples are trained on: shares of origins and kinds, as many as these allow."""

from collections import Counter
from collections.abc import Mapping, Sequence

from hf_curation.refiners.training.examples import Example

Shares = Mapping[str, float]


def mix_examples(
    examples: Sequence[Example],
    *,
    origins: Shares | None = None,
    kinds: Shares | None = None,
    max_examples: int | None = None,
) -> list[Example]:
    """Return examples of which given shares are of each origin and of each kind.

    The order stays, and the first ones of each group are taken: a set's files are shuffled by a hash already. Origins
    and kinds are drawn independently: of `{pair: 0.6}` and `{keep: 0.5}`, 0.3 are kept pairs.

    Args:
        examples: What there is.
        origins: Share by origin, in any unit; origins that are not named are left out. None or empty: as they are.
        kinds: Likewise, by kind.
        max_examples: The most to return.

    Raises:
        ValueError: for a share that is not positive, or a group of which there is no example.
    """
    origins, kinds = _normalised("origins", origins), _normalised("kinds", kinds)
    groups = [(e.origin if origins else "", e.kind if kinds else "") for e in examples]
    there = Counter(groups)
    shares = {(o, k): of_o * of_k for o, of_o in _items(origins) for k, of_k in _items(kinds)}
    for group in shares:
        if not there[group]:
            raise ValueError(f"there is no example of {' and '.join(filter(None, group)) or 'any kind'} to train on")
    total = min(there[group] / share for group, share in shares.items())
    total = total if max_examples is None else min(total, max_examples)
    room = Counter({group: int(total * share + 1e-9) for group, share in shares.items()})
    chosen = []
    for example, group in zip(examples, groups, strict=True):
        if room[group] > 0:
            room[group] -= 1
            chosen.append(example)
    return chosen


def _items(shares: Shares) -> list[tuple[str, float]]:
    return list(shares.items()) or [("", 1.0)]


def _normalised(what: str, shares: Shares | None) -> dict[str, float]:
    shares = shares or {}
    if any(share <= 0 for share in shares.values()):
        raise ValueError(f"data.{what}: shares must be above 0, got {dict(shares)}; leave out what is not wanted")
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}
