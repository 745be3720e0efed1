"""Guesses of how a program goes on, from the programs written before it.

The model reads a guess in the same pass as the token before it and says which of its tokens it would have written; the
rest is taken back. Output never changes, whatever is guessed; only the number of passes does.

Programs are the same few words with other numbers, so counts of which token followed which few are enough, and know
when not to guess: a token is proposed only if most of what stood there before was that token. A wrong guess costs as
much as a right one saves.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

_CONTEXT = 3
_MIN_SHARE = 0.7
"""Of what followed the same context before, the least share of a token that is proposed."""


class Drafts:
    """Counts of what followed each `_CONTEXT` tokens; grows with the variety of programs, not with their number."""

    def __init__(self) -> None:
        self._followers: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)

    def learn(self, ids: Sequence[int], token: int) -> None:
        """Count that `token` followed the program `ids`."""
        self._followers[_last(ids)][token] += 1

    def propose(self, ids: Sequence[int], limit: int, ends: Sequence[int]) -> list[int]:
        """Return up to `limit` tokens that may follow the program `ids`; none of `ends`, which need no reading."""
        context = _last(ids)
        proposed: list[int] = []
        while len(proposed) < limit and (followers := self._followers.get(context)):
            token, count = followers.most_common(1)[0]
            if token in ends or count < _MIN_SHARE * followers.total():
                break
            proposed.append(token)
            context = (*context[1:], token)
        return proposed


def _last(ids: Sequence[int]) -> tuple[int, ...]:
    return tuple([-1] * (_CONTEXT - len(ids)) + list(ids[-_CONTEXT:]))
