"""Make a vocabulary smaller, leaf by leaf: those that the target does not contain first, then by H_v.

Only leaves go, tokens that are no part of another's merge, so every token that stays can be made by its merges.
Removing the rarest tokens outright leaves 4,674 of 28,000 unreachable and costs 17 % more tokens; leaf by leaf it is
none and 3 %. Bytes and added tokens never go.

Leaves without an occurrence change nothing on the target, so H_v has no say among them: the latest merge goes first,
the one that the base, too, found least useful. Among the others, the leaf whose removal raises H_v least. There is no
heap of scores: each removal changes N, S and l_v, and with them every score, and a heap of scores of different ages is
not the rule that we state. One pass over all leaves is: 60,000 of them in well under a millisecond.

Taken literally, "what raises H_v least" prefers what lowers it, and splitting a frequent token into common parts does:
below the size where every leaf is in use, this order dissolves the frequent tokens across spaces first. Llama 3 with
4,660 learned tokens, growth of a 9.9 MB target in tokens over the union, and H_v by used types (1.263 before):

    ids           42,328        32,328        22,328        12,256
    utility       +13.8 %       +27.0 %       +39.9 %       +62.6 %     H_v .794 at the end
    frequency     + 0.4 %       + 1.8 %       + 5.8 %       +17.9 %     H_v 1.258

So `order="frequency"` is there for small vocabularies. At the size of the base, the default, only unused tokens go,
and both orders are the same.
"""

import heapq
from collections.abc import Sequence

import numpy as np

from hf_curation.vocabulary.counts import BoolArray, IntArray
from hf_curation.vocabulary.merge_tree import MergeTree, children_of
from hf_curation.vocabulary.utility import FloatArray, RemovalOrder, Sums, TokenLength, y_log_y


class LeafPruner:
    """Removes leaves from a tree.

    Attributes:
        kept: Per token, whether it is still there.
        counts: Per token, its occurrences; set them anew after a recount with `set_counts`.
        removed: Tokens that went, in order.
    """

    def __init__(
        self,
        tree: MergeTree,
        counts: IntArray,
        *,
        token_length: TokenLength,
        order: RemovalOrder = "utility",
        kept: Sequence[bool] | None = None,
    ) -> None:
        num = len(tree.strings)
        self.tree, self.reading, self.order = tree, token_length, order
        self.kept: BoolArray = np.array([True] * num if kept is None else kept, dtype=bool)
        self.removed: list[int] = []
        self._left, self._right = np.array(tree.left), np.array(tree.right)
        self._num_bytes: IntArray = np.array(tree.num_bytes(), dtype=np.int64)
        self._children: IntArray = np.array(children_of(tree), dtype=np.int64)
        self._place = np.full(num, -1, dtype=np.int64)
        self._place[tree.order] = np.arange(len(tree.order))
        self._is_type = np.ones(num, dtype=bool)
        self._is_type[[i for i in tree.protected if len(tree.strings[i]) > 1]] = False
        self.set_counts(counts)

    def set_counts(self, counts: IntArray) -> None:
        """Take new counts, one a token."""
        self.counts = counts.copy()

    def leaves(self) -> IntArray:
        """Return the tokens that may go."""
        found: IntArray = np.flatnonzero(self.kept & (self._children == 0) & (self._place >= 0))
        return found

    def pool(self) -> "LeafPool":
        """Return the leaves with what removing each would change."""
        return LeafPool(self)

    def remove(self, number: int) -> bool:
        """Remove up to `number` tokens; return whether any of them occurred in the target."""
        before = len(self.removed)
        self._remove_unused(number)
        missing = number - (len(self.removed) - before)
        return missing > 0 and self._remove_used(missing)

    def _remove_unused(self, number: int) -> None:
        leaves = self.leaves()
        heap = [(-int(self._place[i]), int(i)) for i in leaves[self.counts[leaves] == 0]]
        heapq.heapify(heap)
        for _ in range(number):
            if not heap:
                return
            for part in self._drop(heapq.heappop(heap)[1]):
                if self.counts[part] == 0:
                    heapq.heappush(heap, (-int(self._place[part]), part))

    def _remove_used(self, number: int) -> bool:
        pool = self.pool()
        for done in range(number):
            if not pool.size:
                return done > 0
            pool.remove_best()
        return True

    def _drop(self, token: int) -> list[int]:
        """Take a leaf out; return those of its parts that are leaves now."""
        self.kept[token] = False
        self.removed.append(token)
        parts = {int(self._left[token]), int(self._right[token])}
        self._children[int(self._left[token])] -= 1
        self._children[int(self._right[token])] -= 1
        return sorted(part for part in parts if self._children[part] == 0 and self._place[part] >= 0)


class LeafPool:
    """The leaves with what each removal would change, in arrays that are as long as the leaves are many."""

    def __init__(self, pruner: LeafPruner) -> None:
        self.pruner = pruner
        types = pruner.kept & pruner._is_type
        self.sums = Sums.of(pruner.counts, pruner._num_bytes, types, pruner.reading)
        leaves = pruner.leaves()
        self.size = len(leaves)
        self.tokens = np.empty(len(pruner.kept), dtype=np.int64)
        self.tokens[: self.size] = leaves
        self.change = np.empty(len(pruner.kept), dtype=np.float64)
        self.bytes_change, self.types_change = np.empty_like(self.tokens), np.empty_like(self.tokens)
        self._refresh(np.arange(self.size))

    def utilities(self) -> FloatArray:
        """Return H_v after the removal of each leaf."""
        live = slice(0, self.size)
        changes = (self.change[live], self.bytes_change[live], self.types_change[live])
        return self.sums.utility_after(self.pruner.counts[self.tokens[live]], *changes, self.pruner.reading)

    def remove_best(self) -> None:
        """Remove the leaf that leaves the lowest H_v, or the rarest; among equals the latest merge."""
        pruner, tokens = self.pruner, self.tokens[: self.size]
        score = pruner.counts[tokens] if pruner.order == "frequency" else self.utilities()
        ties = np.flatnonzero(score == score.min())
        best = int(ties[pruner._place[tokens[ties]].argmax()])
        token, count = int(tokens[best]), int(pruner.counts[tokens[best]])
        self.sums.num_tokens += count
        self.sums.y_log_y += float(self.change[best])
        if pruner.reading != "occurrences":
            self.sums.bytes_of_types += int(self.bytes_change[best])
            self.sums.num_types += int(self.types_change[best])
        self._take_out(best)
        left, right = int(pruner._left[token]), int(pruner._right[token])
        pruner.counts[token] = 0
        pruner.counts[left] += count
        pruner.counts[right] += count
        for part in pruner._drop(token):
            self.tokens[self.size] = part
            self.size += 1
        tokens = self.tokens[: self.size]
        parts = (pruner._left[tokens], pruner._right[tokens])
        touched = (tokens == left) | (tokens == right)
        for side in parts:
            touched |= (side == left) | (side == right)
        self._refresh(np.flatnonzero(touched))

    def _take_out(self, at: int) -> None:
        self.size -= 1
        for array in (self.tokens, self.change, self.bytes_change, self.types_change):
            array[at] = array[self.size]

    def _refresh(self, at: IntArray) -> None:
        """Work out what removing the leaves at these places of the pool would change."""
        pruner, tokens = self.pruner, self.tokens[at]
        left, right, count = pruner._left[tokens], pruner._right[tokens], pruner.counts[tokens]
        self.change[at] = entropy_change(count, pruner.counts[left], pruner.counts[right], left == right)
        num_bytes = pruner._num_bytes
        if pruner.reading == "used_types":
            is_used = (count > 0).astype(np.int64)
            new_left = is_used * (pruner.counts[left] == 0)
            new_right = is_used * ((pruner.counts[right] == 0) & (left != right))
            self.types_change[at] = new_left + new_right - is_used
            change = new_left * num_bytes[left] + new_right * num_bytes[right] - is_used * num_bytes[tokens]
        else:
            self.types_change[at], change = -1, -num_bytes[tokens]
        self.bytes_change[at] = change


def entropy_change(count: IntArray, left: IntArray, right: IntArray, is_same: BoolArray) -> FloatArray:
    """Return what removing leaves adds to the sum of y ln y.

    Args:
        count: Occurrences of each leaf.
        left: Occurrences of its left part.
        right: Occurrences of its right part.
        is_same: Whether the parts are one token, which then gains twice.
    """
    one = y_log_y(left + 2 * count) - y_log_y(left)
    two = y_log_y(left + count) - y_log_y(left) + y_log_y(right + count) - y_log_y(right)
    found: FloatArray = np.where(is_same, one, two) - y_log_y(count)
    return found
