"""When to stop a model that goes on after its program is over.

Named failures of the released models are repetition loops and text after the program (paper, table 35), and each costs
the rest of the 256 tokens for the whole batch. Stopping never changes what the executor does: a loop is cut only after
more repeats than any default guard tolerates, and prose is not executed anyway.
"""

import re
from collections import Counter

from hf_curation.refiners.base import Stage

MAX_REPEATS = 8
"""The same call more often than this is a loop. The executor's own guard is 3: it still sees that there was one."""
MAX_PREAMBLE_LINES = 3
"""Lines of prose in front of the first call that are put up with."""
LONG_LINE_CHARS = 48
"""From this length on, an unfinished line that does not begin like a call counts as a line."""

_CALL = re.compile(r"\s*([a-z][a-z_]{2,30})\(")
_FRAME = re.compile(r"\s*(?:$|```|#|</?think>)")


def is_over(text: str, stage: Stage) -> bool:
    """Say whether nothing worth waiting for can follow `text`, a program as far as it has been written."""
    *lines, last = text.split("\n")
    if len(last) >= LONG_LINE_CHARS:
        lines.append(last)
    calls: Counter[str] = Counter()
    preamble = 0
    for line in lines:
        if call := _CALL.match(line):
            if stage is Stage.DOCUMENT or call[1].startswith("keep_"):
                return line is not last
            calls[line.strip()] += 1
            if calls[line.strip()] > MAX_REPEATS:
                return True
        elif _FRAME.match(line):
            if calls and line.strip().startswith("```"):
                return True
        elif calls:
            return True
        else:
            preamble += 1
    return preamble > MAX_PREAMBLE_LINES
