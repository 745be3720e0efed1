"""Programs of a batch of prompts, in as few and as full passes as greedy decoding allows.

What all prompts begin with is read once. Prompts are read a few at a time, since one page fills a core; then all rows
write together. In each pass a row reads what it has not read yet: the token it chose last, the tokens that the grammar
forces behind it, or a guess at what comes next (`drafts`), which it then confirms up to the first token that it would
not have chosen. A row that has ended leaves the batch.

In float32 the programs are those of one prompt at a time. In bfloat16, where sums depend on the shapes that are
multiplied, two tokens that score within a rounding of each other may change places.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_curation.refiners.base import Window
from hf_curation.refiners.causal_lm.constrain import allow_only, consume
from hf_curation.refiners.causal_lm.row_attention import row_attention
from hf_curation.refiners.causal_lm.rows import Rows

if TYPE_CHECKING:
    from hf_curation.refiners.causal_lm.decoder_parts import DecoderParts

_PASS_TOKENS = {"cpu": 256}
"""Prompts are read together up to so many tokens, by kind of device. On one core a token of a page costs the same in a
page of 100 as in one of 400 (3.6 ms, SmolLM2-135M in float32), and padding pages to equal length costs on top."""
_PASS_TOKENS_ELSEWHERE = 16_384


def write(
    decoder: "DecoderParts", prompts: Sequence[Sequence[int]], windows: Sequence[Window]
) -> list[tuple[list[int], bool]]:
    """Return what the model writes after each prompt, its end token left out, and whether it was cut off."""
    writers = [_Writer(decoder, prompt, window) for prompt, window in zip(prompts, windows, strict=True)]
    capacity = max(map(len, prompts)) + decoder.max_new_tokens + decoder.max_draft
    rows = Rows(decoder.model, num_rows=len(prompts), capacity=capacity)
    with row_attention(decoder.model):
        head = _read_head(decoder, prompts)
        active: list[_Writer] = []
        for group in _groups(writers, decoder):
            rows.begin(len(group), head)
            for writer, row in zip(group, rows.lengths[-len(group) :], strict=True):
                writer.unread = writer.unread[row:]
            active += group
            _advance(rows, len(active) - len(group), group)
        while _drop_ended(rows, active):
            _advance(rows, 0, active)
    return [(writer.ids, writer.is_cut) for writer in writers]


def _read_head(decoder: "DecoderParts", prompts: Sequence[Sequence[int]]) -> Rows | None:
    """Return the head as the model has read it; None if some prompt does not begin with it."""
    head = decoder.head
    if not head or any(len(prompt) <= len(head) or tuple(prompt[: len(head)]) != head for prompt in prompts):
        return None
    if decoder.head_rows is None:
        rows = Rows(decoder.model, num_rows=1, capacity=len(head))
        rows.begin(1)
        rows.read(0, [head], [1])
        decoder.head_rows = rows
    return decoder.head_rows


def _groups(writers: "Sequence[_Writer]", decoder: "DecoderParts") -> "list[list[_Writer]]":
    """Cut the batch into runs of prompts that are read in one pass."""
    limit = _PASS_TOKENS.get(decoder.model.device.type, _PASS_TOKENS_ELSEWHERE)
    groups: list[list[_Writer]] = []
    room = 0
    for writer in writers:
        room -= len(writer.unread)
        if not groups or room < 0:
            groups.append([])
            room = limit - len(writer.unread)
        groups[-1].append(writer)
    return groups


def _advance(rows: Rows, first: int, writers: "Sequence[_Writer]") -> None:
    """Let the rows from `first` on read what they have not read, and choose what follows."""
    guesses = [writer.guess() for writer in writers]
    tokens = [[*writer.unread, *guess] for writer, guess in zip(writers, guesses, strict=True)]
    scores = rows.read(first, tokens, [1 + len(guess) for guess in guesses])
    masks = [mask for writer in writers if (mask := writer.mask()) is not None]
    if masks:
        scores = allow_only(masks, scores)
    chosen = iter(scores.float().argmax(dim=-1).tolist())
    for row, (writer, guess) in enumerate(zip(writers, guesses, strict=True), first):
        wrong = writer.accept(guess, [next(chosen) for _ in range(1 + len(guess))])
        rows.forget(row, wrong)


def _drop_ended(rows: Rows, active: "list[_Writer]") -> bool:
    """Take the rows that have ended out of the batch; returns whether any are left."""
    for row in reversed(range(len(active))):
        if active[row].has_ended:
            rows.remove(row)
            last = active.pop()
            if row < len(active):
                active[row] = last
    return bool(active)


class _Writer:
    """One row: its program as far as it is written, and what of it the model has not read."""

    def __init__(self, decoder: "DecoderParts", prompt: Sequence[int], window: Window) -> None:
        self.ids: list[int] = []
        self.unread = list(prompt)
        self.has_ended = self.is_cut = False
        self._decoder = decoder
        self._matcher: Any = decoder.grammars.matcher(window) if decoder.grammars else None

    def mask(self) -> bytes | None:
        """Return the tokens that the grammar allows next, a bit each; None without a grammar."""
        return None if self._matcher is None else bytes(self._matcher.compute_bitmask())

    def guess(self) -> list[int]:
        """Return tokens that the model may be about to write; none under a grammar, which forces what is sure."""
        decoder = self._decoder
        if self._matcher is not None:
            return []
        room = decoder.max_new_tokens - len(self.ids) - 1
        return decoder.drafts.propose(self.ids, min(room, decoder.max_draft), decoder.eos_ids)

    def accept(self, guess: Sequence[int], chosen: Sequence[int]) -> int:
        """Go on by what the model chose behind the unread tokens; returns how many tokens of the guess were wrong.

        `chosen[i]` holds if the first `i` tokens of the guess are right.
        """
        num_right = 0
        while True:
            token = chosen[num_right]
            self._add(token)
            if self.has_ended or num_right == len(guess) or token != guess[num_right]:
                break
            num_right += 1
        self.unread = [token]
        if self._matcher is not None and not self.has_ended:
            consume(self._matcher, token)
            self._add_forced()
        return len(guess) - num_right

    def _add_forced(self) -> None:
        """Go on by all tokens that the grammar leaves no choice about."""
        for token in self._matcher.compute_ff_tokens():
            consume(self._matcher, token)
            self._add(token)
            self.unread.append(token)
            if self.has_ended:
                return
        self.has_ended = self._matcher.is_stopped()

    def _add(self, token: int) -> None:
        decoder = self._decoder
        decoder.drafts.learn(self.ids, token)
        if token in decoder.eos_ids:
            self.has_ended = True
            return
        self.ids.append(token)
        self.is_cut = not (stops := decoder.has_ended(self.ids)) and len(self.ids) == decoder.max_new_tokens
        self.has_ended = stops or self.is_cut
