"""The embedded default refiner: a small neural network that reads a page once and prints its ProX program.

It ships with the package and needs neither torch nor a download. The window is the whole page (very long pages are
read in blocks of `BLOCK_LINES` lines, so that time is linear and memory bounded for any input). Measured figures, and
how they come about, are in `weights.md` beside this file and in `recipes/train_line_tagger`.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_curation.programs.lines import split_lines
from hf_curation.programs.model import Call, Dialect, DropDocument, KeepAll, Program, RemoveLines, Scope
from hf_curation.programs.printing import print_program
from hf_curation.refiners.base import Draft, Stage, Window
from hf_curation.refiners.tagger.decode import choose_lines, keep_at_least, removal_calls
from hf_curation.refiners.tagger.document import DocumentHead, load_head, page_evidence
from hf_curation.refiners.tagger.features import FloatArray, PageFeatures, page_features
from hf_curation.refiners.tagger.network import Network, load_network, sigmoid

WEIGHTS: Final = Path(__file__).with_name("weights.safetensors")
"""The weights that ship with the package."""
DOCUMENT_WEIGHTS: Final = Path(__file__).with_name("document.safetensors")
"""The document stage's own weights, fitted to `WEIGHTS`."""
BLOCK_LINES: Final = 4096
"""Lines that are read together; a page of more lines gets one program per block."""
_MAX_REMEMBERED: Final = 512


class _Reading(NamedTuple):
    """What the network says of the L lines of a page that hold anything, and what choosing among them needs."""

    rows: NDArray[np.int64]
    num_words: FloatArray
    num_chars: FloatArray
    probabilities: FloatArray


_REMEMBERED: Final[OrderedDict[tuple[Path, bytes], _Reading]] = OrderedDict()
"""Pages as a document stage read them, for the chunk stage that gets them next: almost half of a run's time.

Of a page of 4,096 lines 80 KB are kept, of 40 lines less than one.
"""


class LineTagger:
    """A `Refiner` that marks lines as main content or not with a network of a few hundred thousand weights.

    >>> tagger = LineTagger()
    >>> tagger.write(tagger.windows("A lone sentence is kept as it is."))[0].text
    'keep_chunk()'
    """

    dialect: Final = Dialect.PROX

    def __init__(
        self,
        stage: Stage = Stage.CHUNK,
        weights: str | Path | None = None,
        document_weights: str | Path | None = None,
    ) -> None:
        """Make a tagger; the weights are read at first use.

        Args:
            stage: `CHUNK` writes `remove_lines` programs, `DOCUMENT` writes `keep_doc()` or `drop_doc()`.
            weights: A safetensors file of `recipes/train_line_tagger`; None takes the one that ships.
            document_weights: The document stage's file of the same recipe, fitted to `weights`; None takes the one
                that ships, which is fitted to the weights that ship.

        Raises:
            ValueError: if `stage` is no stage, or a weights file does not exist.
        """
        self.stage = Stage(stage)
        self._path = Path(weights) if weights is not None else WEIGHTS
        self._document_path = Path(document_weights) if document_weights is not None else DOCUMENT_WEIGHTS
        for path in (self._path, self._document_path):
            if not path.is_file():
                raise ValueError(f"no weights at {path}; train them with recipes/train_line_tagger")
        self._network: Network | None = None
        self._head: DocumentHead | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None, "_head": None}

    @property
    def name(self) -> str:
        """`line-tagger@` and the version of the weights."""
        return f"line-tagger@{self.network.config['version']}"

    @property
    def network(self) -> Network:
        """The weights, read at first use; copies of the tagger in worker processes read their own."""
        if self._network is None:
            self._network = load_network(self._path)
        return self._network

    @property
    def head(self) -> DocumentHead:
        """The weights of the document stage, read at first use."""
        if self._head is None:
            self._head = load_head(self._document_path)
        return self._head

    def windows(self, text: str) -> list[Window]:
        """Return the whole page as one window; a page of more than `BLOCK_LINES` lines as blocks of lines."""
        if self.stage is Stage.DOCUMENT:
            judged = next(_blocks(text)).text
            return [Window(judged, 0, Scope(0, len(text), 0), len(judged) / max(len(text), 1))]
        return list(_blocks(text))

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        """Return the program of each window."""
        write = self._judge if self.stage is Stage.DOCUMENT else self._edit
        calls = [[_shift(call, window.first_line) for call in write(window.text)] for window in windows]
        return [Draft(print_program(Program(tuple(one)), self.dialect)) for one in calls]

    def probabilities(self, text: str) -> FloatArray:
        """Return, for each line of `split_lines(text)`, the expected share of its words that are main content.

        A blank line has the lower probability of its neighbours.
        """
        lines = split_lines(text)
        found = np.ones(len(lines), dtype=np.float32)
        for start in range(0, len(lines), BLOCK_LINES):
            block = lines[start : start + BLOCK_LINES]
            page = page_features(block)
            if len(page.rows):
                found[start : start + len(block)] = _fill_blank(page, self._tag(page), len(block))
        return found

    def _tag(self, page: PageFeatures) -> FloatArray:
        return sigmoid(self.network.logits(page))

    def _edit(self, text: str) -> tuple[Call, ...]:
        lines = split_lines(text)
        reading = _REMEMBERED.pop(self._key(text), None)
        if reading is None:
            page = page_features(lines)
            reading = _reading(page, self._tag(page))
        keep = choose_lines(reading.probabilities, reading.num_words)
        keep = keep_at_least(keep, reading.probabilities, reading.num_chars)
        return removal_calls(reading.rows, keep, len(lines))

    def _judge(self, text: str) -> tuple[Call, ...]:
        lines = split_lines(text)
        page = page_features(lines)
        if not len(page.rows):
            return (KeepAll(document=True),)  # nothing to judge
        probabilities = self._tag(page)
        if self.head.is_junk(page_evidence(lines, page, probabilities)):
            return (DropDocument(),)
        _REMEMBERED[self._key(text)] = _reading(page, probabilities)
        if len(_REMEMBERED) > _MAX_REMEMBERED:
            _REMEMBERED.popitem(last=False)
        return (KeepAll(document=True),)

    def _key(self, text: str) -> tuple[Path, bytes]:
        return self._path, blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _reading(page: PageFeatures, probabilities: FloatArray) -> _Reading:
    return _Reading(page.rows, page.num_words, page.num_chars, probabilities)


def _shift(call: Call, first_line: int) -> Call:
    """Return a call about the lines of a window as one about the lines of the document."""
    if isinstance(call, RemoveLines):
        return RemoveLines(call.start + first_line, call.end + first_line)
    return call


def _blocks(text: str) -> Iterator[Window]:
    """Cut a page into windows of `BLOCK_LINES` whole lines; the line break between two belongs to neither."""
    start = line = 0
    while True:
        end = start - 1
        for _ in range(BLOCK_LINES):
            end = text.find("\n", end + 1)
            if end < 0:
                yield Window(text[start:], line, Scope(start, len(text), line))
                return
        yield Window(text[start:end], line, Scope(start, end, line))
        start, line = end + 1, line + BLOCK_LINES


def _fill_blank(page: PageFeatures, probabilities: FloatArray, num_lines: int) -> FloatArray:
    before = np.searchsorted(page.rows, np.arange(num_lines), side="right") - 1
    after = np.searchsorted(page.rows, np.arange(num_lines), side="left")
    padded = np.concatenate([probabilities, probabilities[-1:]])
    result: FloatArray = np.minimum(padded[np.maximum(before, 0)], padded[after])
    return result
