"""Adapt a tokenizer to a target: learn tokens of the target, then remove what the target does not need.

    base -> live merges -> word runs of the target counted -> merges learned inside words, then across spaces
         -> tokens counted -> leaves removed in steps, the target recounted after each -> tokenizer.json

Everything after the count works on distinct words and runs. Llama 3's 128,256 ids on the training questions of eight
benchmarks, 32.8 MB: 26 s of CPU, 0.9 GB. Memory goes by different runs, 0.9 kB each: 455 MB of text made from a
million lines take 104 s and 1.2 GB. Same inputs give the same bytes, whatever the order of the texts. How the
paper is read where it leaves a choice: see `settings`.
"""

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hf_curation.vocabulary.adapted import AdaptedTokenizer, TokenChange
from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import byte_chars, text_of
from hf_curation.vocabulary.counts import (
    TargetText,
    TokenStream,
    count_target,
    encode_units,
    find_unreachable,
    join_words,
    recount,
    segment_words,
    working_tokenizer,
)
from hf_curation.vocabulary.curve import UNION, Curve
from hf_curation.vocabulary.export import export_bpe
from hf_curation.vocabulary.learn import (
    LearnedMerge,
    learn_across_spaces,
    learn_in_words,
    span_filter,
    word_filter,
)
from hf_curation.vocabulary.merge_tree import MergeTree, multi_word_tokens
from hf_curation.vocabulary.prune import LeafPruner
from hf_curation.vocabulary.settings import AdaptSettings
from hf_curation.vocabulary.word_runs import word_run_pre_tokenizer

logger = logging.getLogger(__name__)
MAX_COST = 0.05
"""Growth of the target's tokens in one step from which on a warning says so."""


def adapt_tokenizer(
    base: object,
    target_texts: Iterable[str],
    *,
    revision: str | None = None,
    **settings: Any,  # noqa: ANN401
) -> AdaptedTokenizer:
    """Adapt a byte-level BPE tokenizer to a target.

    Args:
        base: A folder, a `tokenizer.json`, a Hub name, or a loaded fast tokenizer.
        target_texts: The target: the training splits of the tasks, the same texts that documents are chosen by.
        revision: Of a Hub name.
        **settings: Fields of `AdaptSettings`.

    Returns:
        The tokenizer with its curve and the tokens that were added and removed; `.save(folder)` writes and tests it.

    Raises:
        ValueError: The base is no byte-level BPE, or has tokens across spaces already; the target is empty; a setting
            is out of range or a size out of reach.
    """
    chosen = AdaptSettings(**settings)
    loaded = ByteLevelBPE.load(base, revision=revision)
    if chosen.grid is None:
        chosen.check_reach(loaded.size, chosen.final_size or loaded.size)
    pre_tokenizer = word_run_pre_tokenizer(loaded.body.get("pre_tokenizer"), loaded.name)
    tree = MergeTree.of(loaded)
    if multi_word_tokens(tree):
        raise ValueError(f"{loaded.name} has tokens across spaces already; adapt the tokenizer that it was made from")
    target = count_target(target_texts, pre_tokenizer, _normalizer(loaded))
    return _Adaptation(loaded, tree, target, chosen).run()


class _Adaptation:
    """The state of one adaptation."""

    def __init__(self, base: ByteLevelBPE, tree: MergeTree, target: TargetText, settings: AdaptSettings) -> None:
        self.base, self.tree, self.target, self.settings = base, tree, target, settings
        self.num_outside = base.size - len(base.vocab)
        self.lost = [tree.strings[i] for i in sorted(tree.unreachable)]
        self.num_live = tree.num_merges
        self.curve = Curve(tree, target, settings, self.num_outside)

    def run(self) -> AdaptedTokenizer:
        """Learn, measure, prune, export."""
        words = segment_words(self.target, self.tree)
        kept = np.ones(len(self.tree.strings), dtype=bool)
        self.curve.record(words.counts(len(kept)), kept, unreachable=len(self.lost))
        words = self._add_missing_bytes(words)
        learned, runs = self._learn(words)
        kept = np.array([i not in self.tree.unreachable for i in range(len(self.tree.strings))])
        reading = self.settings.token_length
        pruner = LeafPruner(
            self.tree, runs.counts(len(kept)), token_length=reading, order=self.settings.order, kept=kept.tolist()
        )
        self._prune(pruner, runs)
        removed = pruner.removed[: self.curve.num_removed[self.curve.choose()]]
        kept[removed] = False
        exported = export_bpe(
            self.base, self.tree, kept.tolist(), split_special_tokens=self.settings.split_special_tokens
        )
        return AdaptedTokenizer(
            bpe=exported,
            base=self.base,
            settings=self.settings,
            curve=self.curve.points,
            chosen=self.curve.choose(),
            added=self._added(exported, learned),
            removed=self._removed(removed),
            figures=self._figures(learned, removed),
        )

    def _add_missing_bytes(self, words: TokenStream) -> TokenStream:
        for byte in self.base.missing_bytes:
            self.tree.add_atom(byte_chars()[byte])
        return segment_words(self.target, self.tree) if self.base.missing_bytes else words

    def _learn(self, words: TokenStream) -> tuple[list[LearnedMerge], TokenStream]:
        settings, tree = self.settings, self.tree
        new_words = settings.new_tokens // 2 if settings.new_words is None else settings.new_words
        inside, words = learn_in_words(
            words,
            tree,
            accept=word_filter(settings.max_chars),
            max_merges=min(new_words, settings.new_tokens),
            min_count=settings.min_count,
        )
        runs, is_word_start = join_words(self.target, words)
        across, runs = learn_across_spaces(
            runs,
            is_word_start,
            tree,
            accept=span_filter(settings.max_words, settings.max_chars),
            max_merges=settings.new_tokens - len(inside) if settings.max_words > 1 else 0,
            min_count=settings.min_count,
        )
        lowest = min((merge.count for merge in (*inside, *across)), default=0)
        logger.info(f"learned {len(inside):,} tokens in words, {len(across):,} across spaces, lowest count {lowest}")
        self._check_segmentation(runs)
        return [*inside, *across], runs

    def _check_segmentation(self, runs: TokenStream) -> None:
        """Hold what learning left against the encoder, on a sample: they must agree to the last token."""
        tokenizer = working_tokenizer(self.tree, [True] * len(self.tree.strings))
        sample = np.linspace(0, len(self.target.runs) - 1, min(2_000, len(self.target.runs))).astype(np.int64)
        encoded = encode_units(tokenizer, [self.target.runs[i] for i in sample], runs.weights_U[sample])
        for place, unit in enumerate(sample):
            ours = runs.ids_P[runs.offsets[unit] : runs.offsets[unit + 1]]
            theirs = encoded.ids_P[encoded.offsets[place] : encoded.offsets[place + 1]]
            assert np.array_equal(ours, theirs), self.target.runs[unit]

    def _prune(self, pruner: LeafPruner, runs: TokenStream) -> None:
        """Visit the sizes of the schedule."""
        size = int(pruner.kept.sum()) + self.num_outside
        least = len(self.tree.protected) + self.num_outside
        self._record(pruner)
        for wanted in self.settings.sizes(self.base.size, size, least):
            if pruner.remove(int(pruner.kept.sum()) + self.num_outside - wanted):
                tokenizer = working_tokenizer(self.tree, pruner.kept.tolist())
                runs = recount(runs, self.target.runs, ~pruner.kept, tokenizer)
                pruner.set_counts(runs.counts(len(pruner.kept)))
            self._record(pruner)
            self._warn_of_cost()
            if self.settings.stop_at_minimum and self.curve.rises():
                logger.warning(f"H_v rises below {self.curve.points[-2].size:,} ids: stopped there, as asked")
                return

    def _warn_of_cost(self) -> None:
        before, after = self.curve.points[-2:]
        cost = after.num_tokens / before.num_tokens - 1
        if cost > MAX_COST:
            logger.warning(
                f"from {before.size:,} to {after.size:,} ids the target takes {cost:.1%} more tokens; "
                "keep more of them, or see `order`"
            )

    def _record(self, pruner: LeafPruner) -> None:
        unreachable = len(find_unreachable(self.tree, pruner.kept.tolist()))
        self.curve.record(pruner.counts, pruner.kept, unreachable=unreachable, num_removed=len(pruner.removed))

    def _added(self, exported: ByteLevelBPE, learned: list[LearnedMerge]) -> list[TokenChange]:
        """Return the tokens that the base does not have, and those that its merges could not make, in order of ids."""
        counts, strings = self.curve.counts[self.curve.choose()], self.tree.strings
        learned_counts = {merge.token: merge.count for merge in learned}
        old = set(self.base.vocab)
        return [
            TokenChange(string, exported.vocab[string], int(counts[i]), learned_counts.get(i))
            for i, string in enumerate(strings)
            if string in exported.vocab and (string not in old or i in learned_counts)
        ]

    def _removed(self, removed: list[int]) -> list[TokenChange]:
        """Return the tokens of the base that went, in order; step 0 holds those that no merge makes."""
        strings, vocab, counts = self.tree.strings, self.base.vocab, self.curve.counts[0]
        ends = self.curve.num_removed[UNION:]
        steps = [(token, 0) for token in sorted(self.tree.unreachable)]
        steps += [(token, bisect_right(ends, place)) for place, token in enumerate(removed) if strings[token] in vocab]
        return [TokenChange(strings[i], vocab[strings[i]], int(counts[i]), step=step) for i, step in steps]

    def _figures(self, learned: list[LearnedMerge], removed: list[int]) -> dict[str, Any]:
        tree, target, multi_word = self.tree, self.target, multi_word_tokens(self.tree)
        old, lost_words = set(self.base.vocab), {text_of(token) for token in self.lost}
        weights = zip(target.words, target.word_weights_W.tolist(), strict=True)
        return {
            "base_merges": len(self.base.merges),
            "base_live_merges": self.num_live,
            "base_unreachable": len(self.lost),
            "base_unreachable_given_a_merge": len(self.lost) - len(tree.unreachable),
            "base_unreachable_words_in_target": sum(weight for word, weight in weights if word in lost_words),
            "base_ignores_merges": self.base.ignore_merges,
            "missing_bytes_added": len(self.base.missing_bytes),
            "learned_in_words": sum(merge.token not in multi_word for merge in learned),
            "learned_across_spaces": sum(merge.token in multi_word for merge in learned),
            "learned_lowest_count": min((merge.count for merge in learned), default=None),
            "learned_and_removed": sum(tree.strings[token] not in old for token in removed),
            "target_texts": target.num_texts,
            "target_bytes": target.num_bytes,
            "target_texts_repaired": target.num_repaired,
            "target_sha256": target.digest,
        }


def _normalizer(base: ByteLevelBPE) -> Callable[[str], str] | None:
    if base.body.get("normalizer") is None:
        return None
    normalize: Callable[[str], str] = base.to_tokenizer().normalizer.normalize_str
    return normalize
