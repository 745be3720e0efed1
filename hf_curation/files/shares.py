"""Who reads what: files dealt to tasks, or parts of files where there are fewer files than tasks.

The share of a task depends on names, sizes and the number of tasks only, so that every task can work out its own, and
the union over tasks is every record once, for any number of tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush


@dataclass(frozen=True, slots=True)
class Share:
    """Part `part` of `num_parts` of file number `file`. What a part is depends on the format (stride or row range)."""

    file: int
    part: int = 0
    num_parts: int = 1


def deal(sizes: Sequence[int], num_tasks: int) -> list[list[Share]]:
    """Return the shares of every task.

    With at least as many files as tasks, the largest files go first, each to the task with the least so far.
    Otherwise every task reads one part of one file, and a file gets parts in proportion to its size, at least one.

    Args:
        sizes: bytes of the files, in the order of their names.
        num_tasks: at least 1.

    Raises:
        ValueError: if `num_tasks` is below 1.
    """
    if num_tasks < 1:
        raise ValueError(f"the number of tasks must be at least 1, got {num_tasks}")
    if not sizes:
        return [[] for _ in range(num_tasks)]
    if len(sizes) >= num_tasks:
        return _deal_files(sizes, num_tasks)
    parts = _num_parts(sizes, num_tasks)
    return [[Share(file, part, num)] for file, num in enumerate(parts) for part in range(num)]


def _deal_files(sizes: Sequence[int], num_tasks: int) -> list[list[Share]]:
    shares: list[list[Share]] = [[] for _ in range(num_tasks)]
    loads = [(0, task) for task in range(num_tasks)]
    heapify(loads)
    for file in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        load, task = heappop(loads)
        shares[task].append(Share(file))
        # One byte more than its size, so that empty files are dealt around too.
        heappush(loads, (load + sizes[file] + 1, task))
    return [sorted(of_task, key=lambda share: share.file) for of_task in shares]


def _num_parts(sizes: Sequence[int], num_tasks: int) -> list[int]:
    """Each file gets one part, and each further part goes where a part is largest."""
    parts = [1] * len(sizes)
    heap = [(-size, file) for file, size in enumerate(sizes)]
    heapify(heap)
    for _ in range(num_tasks - len(sizes)):
        _, file = heappop(heap)
        parts[file] += 1
        heappush(heap, (-sizes[file] / parts[file], file))  # type: ignore[misc]
    return parts
