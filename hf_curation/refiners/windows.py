"""Cut a page into windows that fit a refiner's prompt, and number their lines as its dialect wants them.

Whole lines are packed greedily up to a token budget, markers included, as ProX does (https://huggingface.co/papers/2409.17115,
`[000]` costs five Llama-2 tokens). A line that alone exceeds the budget, which the paper skips, is cut by character
span into pieces, each a window of its own. Later windows may begin with context lines that the window before owns
(UltraX: 20 %), so that every line is owned exactly once.

Costs are sums over lines, or over segments of at most `SEGMENT_CHARS` characters cut at spaces, never over the page:
one page of 10 MB in one line would cost some tokenizers quadratic time. A sum over parts bounds the cost of the whole
from above as far as the counter is subadditive; byte-pair tokenizers are, but for a token or two at a seam.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice

from hf_curation.programs.model import Dialect, Scope
from hf_curation.refiners.base import Window

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""The cost of each of a batch of strings, in tokens, without special tokens."""

SEGMENT_CHARS = 512
MIN_BUDGET = 32
_COUNT_BATCH = 4096


def marker(line: int, dialect: Dialect) -> str:
    """Return what stands in front of line `line` (0-based, counted over the whole document) in a prompt.

    RefineX has no public code; its examples count from 1, and the bracket form here is our reading of them.
    """
    match dialect:
        case Dialect.PROX:
            return f"[{line:03d}]"
        case Dialect.ULTRAX:
            return f"<lid:{line + 1}>"
        case Dialect.REFINEX:
            return f"[{line + 1}]"


def number_lines(text: str, first_line: int, dialect: Dialect) -> str:
    """Return `text` with a marker in front of every line; `first_line` is the document's number of the first one."""
    return "\n".join(marker(i, dialect) + line for i, line in enumerate(text.split("\n"), first_line))


def owned_lines(window: Window) -> tuple[int, int]:
    """Return the first and last line (0-based, inclusive, document numbers) that the window's program may touch."""
    return window.scope.first_line, window.first_line + window.text.count("\n")


def cut_windows(
    text: str, count: CountTokens, budget: int, *, dialect: Dialect = Dialect.PROX, overlap: float = 0.0
) -> list[Window]:
    r"""Cut `text` into windows of numbered lines; linear in the length of the text.

    The scopes are disjoint, in order, and hold every character but the `\n` between one window and the next: a
    scope's lines are what `split("\n")` gives of its characters, so an empty last line is a line too.

    Args:
        text: the page, newlines normalised.
        count: the refiner's token counter.
        budget: the most tokens that a window's lines may cost, markers and newlines included.
        dialect: how lines are marked.
        overlap: the largest share of the budget spent on context lines from before the window, 0 to 0.5.

    Raises:
        ValueError: for a budget below 32 tokens or an overlap out of range.
    """
    if budget < MIN_BUDGET:
        raise ValueError(f"a window needs a budget of at least {MIN_BUDGET} tokens, got {budget}")
    if not 0 <= overlap <= 0.5:
        raise ValueError(f"overlap must be in [0, 0.5], got {overlap}")
    assert "\r" not in text, "newlines must be normalised first"
    lines = text.split("\n")
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    costs = _line_costs(lines, count, dialect)
    windows: list[Window] = []
    for shown, first, end in _pack(costs, budget, overlap):
        if costs[first] > budget:
            windows += _cut_line(lines[first], starts[first], first, count, budget, dialect)
        else:
            scope = Scope(starts[first], starts[end] - 1, first)
            windows.append(Window(text[starts[shown] : starts[end] - 1], shown, scope))
    return windows


def document_window(text: str, count: CountTokens, budget: int) -> Window:
    """Return the one window of the document stage: the stripped page, truncated on the right to `budget` tokens.

    The scope is the whole document, whatever was shown of it; `judged_fraction` says how much that was. Only as much
    of the page is counted as fits, so a page of any size costs the same.
    """
    page = text.strip()
    shown = len(page)
    used = 0
    for start, end in _segments(page):
        cost = count([page[start:end]])[0]
        if used + cost > budget:
            shown = start + _longest_prefix(page[start:end], count, budget - used)
            break
        used += cost
    first_line = text.count("\n", 0, len(text) - len(text.lstrip()))
    judged = shown / len(page) if page else 1.0
    return Window(page[:shown], first_line, Scope(0, len(text), 0), judged)


def _pack(costs: Sequence[int], budget: int, overlap: float) -> Iterator[tuple[int, int, int]]:
    """Yield `(shown, first, end)`: a window shows lines `shown:end`, owns `first:end`. Too long lines come alone."""
    shown = first = used = 0
    floor = 0  # context never reaches back over a line that was cut into pieces
    for line, cost in enumerate(costs):
        if used and used + cost > budget:
            yield shown, first, line
            shown, first, used = _context(costs, floor, line, min(int(overlap * budget), budget - cost))
        if cost > budget:
            yield line, line, line + 1
            shown = first = floor = line + 1
            used = 0
        else:
            used += cost
    if used:
        yield shown, first, len(costs)


def _context(costs: Sequence[int], floor: int, line: int, allowance: int) -> tuple[int, int, int]:
    """Return `(shown, first, used)` of a window that opens at `line`, with the context that the allowance pays for."""
    shown, used = line, 0
    while shown > floor and used + costs[shown - 1] <= allowance:
        shown -= 1
        used += costs[shown]
    return shown, line, used


def _line_costs(lines: Sequence[str], count: CountTokens, dialect: Dialect) -> list[int]:
    """Return the cost of every line with its marker and newline; at least 1, which bounds the lines of a context."""
    short = (
        f"{marker(i, dialect)}{line}\n" if len(line) <= SEGMENT_CHARS else f"{marker(i, dialect)}\n"
        for i, line in enumerate(lines)
    )
    costs = list(_counted(short, count))
    for i, line in enumerate(lines):
        if len(line) > SEGMENT_CHARS:
            costs[i] += sum(_counted((line[a:b] for a, b in _segments(line)), count))
    return [max(1, cost) for cost in costs]


def _cut_line(
    line: str, offset: int, index: int, count: CountTokens, budget: int, dialect: Dialect
) -> Iterator[Window]:
    """Yield the pieces of one line as windows; `offset` is where the line starts in the document."""
    room = budget - count([f"{marker(index, dialect)}\n"])[0]
    start = end = used = 0
    for a, b, cost in _fitting(line, count, room):
        if used + cost > room and end > start:
            yield Window(line[start:end], index, Scope(offset + start, offset + end, index))
            start, used = a, 0
        end, used = b, used + cost
    yield Window(line[start:end], index, Scope(offset + start, offset + end, index))


def _fitting(line: str, count: CountTokens, room: int) -> Iterator[tuple[int, int, int]]:
    """Yield `(start, end, cost)` of consecutive spans, each within `room` tokens or a single character."""
    spans = list(_segments(line))
    for (start, end), cost in zip(spans, _counted((line[a:b] for a, b in spans), count), strict=True):
        stack = [(start, end, cost)]
        while stack:
            a, b, tokens = stack.pop()
            if tokens <= room or b - a == 1:
                yield a, b, tokens
                continue
            middle = (a + b) // 2
            left, right = count([line[a:middle], line[middle:b]])
            stack += [(middle, b, right), (a, middle, left)]


def _segments(line: str) -> Iterator[tuple[int, int]]:
    """Yield spans of at most `SEGMENT_CHARS` characters that cover the line, cut before a space where there is one."""
    start = 0
    while start < len(line):
        end = min(start + SEGMENT_CHARS, len(line))
        if end < len(line):
            space = line.rfind(" ", start + SEGMENT_CHARS // 2, end)
            end = space if space > 0 else end
        yield start, end
        start = end


def _longest_prefix(segment: str, count: CountTokens, room: int) -> int:
    """Return how many characters of `segment` fit in `room` tokens (bisection: costs grow with length)."""
    low, high = 0, len(segment)
    while low < high:
        middle = (low + high + 1) // 2
        if count([segment[:middle]])[0] <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _counted(texts: Iterable[str], count: CountTokens) -> Iterator[int]:
    """Yield the cost of every text, counted in batches of bounded size."""
    iterator = iter(texts)
    while batch := list(islice(iterator, _COUNT_BATCH)):
        yield from count(batch)
