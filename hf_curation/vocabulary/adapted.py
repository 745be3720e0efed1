"""What an adaptation gives: the tokenizer, and files that say what was done and why.

    FOLDER/tokenizer.json            loads with `AutoTokenizer`, `tokenizers`, tiktoken after conversion
           tokenizer_config.json
           added_tokens.tsv          token, text, how often it occurs, how often when it was learned
           removed_tokens.tsv        token, text, how often the base used it, the step it went in (0: unreachable)
           vocabulary_curve.json     size, H, l_v, H_v, tokens per byte ... at each step
           vocabulary_manifest.json  settings, base, target, figures, ids of probe texts, digests of the other files

No file holds a time or a path, so that equal inputs give equal bytes. The probes are there for whoever loads the
tokenizer from elsewhere: libraries that rebuild a pre-tokenizer lose tokens across spaces without a word.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_curation.files import write_json, write_whole
from hf_curation.vocabulary.bpe import CONFIG_FILE, TOKENIZER_FILE, ByteLevelBPE
from hf_curation.vocabulary.byte_level import text_of
from hf_curation.vocabulary.export import save_bpe
from hf_curation.vocabulary.self_test import self_test
from hf_curation.vocabulary.settings import AdaptSettings
from hf_curation.vocabulary.utility import CurvePoint

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ADDED_FILE, REMOVED_FILE = "added_tokens.tsv", "removed_tokens.tsv"
CURVE_FILE, MANIFEST_FILE = "vocabulary_curve.json", "vocabulary_manifest.json"
SCHEMA_VERSION = 1
PROBES = (
    "end of the day",
    "What is the best way to do this? It is one of the most important.",
    " of the 1st\r\n\r\n  of the",
)


@dataclass(frozen=True, slots=True)
class TokenChange:
    """A token that was added or removed."""

    token: str
    id: int
    """In the adapted tokenizer for an added one, in the base for a removed one."""
    count: int
    """Occurrences in the target: in the adapted tokenizer for an added one, in the base for a removed one."""
    learned_count: int | None = None
    """Of an added one, occurrences of its pair when it was learned; None for a byte that the base lacked."""
    step: int | None = None
    """Of a removed one, the step in which it went; 0: no merges of the base make it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedTokenizer:
    """An adapted tokenizer, with how it came about."""

    bpe: ByteLevelBPE
    base: ByteLevelBPE
    settings: AdaptSettings
    curve: list[CurvePoint] = field(repr=False)
    """The base, the union with what was learned, then each step."""
    chosen: int
    """Place in `curve` of the vocabulary that `bpe` holds: the last, but with `grid` or `stop_at_minimum`."""
    added: list[TokenChange] = field(repr=False)
    """In order of ids: bytes that the base lacked, tokens in words, tokens across spaces."""
    removed: list[TokenChange] = field(repr=False)
    """In order of removal."""
    figures: dict[str, Any]
    """Counts that explain the rest: of merges and unreachable tokens of the base, of what was learned, of the
    target."""

    @property
    def tokenizer(self) -> "Tokenizer":
        """The tokenizer for encoding; special tokens in a text are taken as the text that they are."""
        return self.bpe.to_tokenizer()

    @property
    def bytes_per_token(self) -> tuple[float, float]:
        """Bytes per token of the target, before and after."""
        return 1 / self.curve[0].tokens_per_byte, 1 / self.curve[self.chosen].tokens_per_byte

    def save(self, folder: str | Path, *, texts: Iterable[str] = ()) -> dict[str, Any]:
        """Write the tokenizer and its accounts, load it again from the files and test it.

        Args:
            folder: Where to; files of these names are overwritten.
            texts: Texts that must come back as they were, beside those that the test makes.

        Returns:
            The manifest.

        Raises:
            SelfTestError: What was written is not right. The files are left for looking at; no manifest is written.
        """
        folder = Path(folder)
        (folder / MANIFEST_FILE).unlink(missing_ok=True)
        save_bpe(self.bpe, folder)
        write_whole(folder / ADDED_FILE, _table(("id", "token", "text", "count", "learned_count"), self.added))
        write_whole(folder / REMOVED_FILE, _table(("id", "token", "text", "count", "step"), self.removed))
        write_json(folder / CURVE_FILE, self._curve_json(), keep_order=True)
        loaded = ByteLevelBPE.load(folder)
        report = self_test(loaded, added=[change.token for change in self.added], texts=texts)
        manifest = self._manifest(folder, loaded, report)
        write_json(folder / MANIFEST_FILE, manifest)
        return manifest

    def _curve_json(self) -> dict[str, Any]:
        names = ["base", "union", *(f"step {i}" for i in range(1, len(self.curve) - 1))]
        points = [{"name": name, **point.to_dict()} for name, point in zip(names, self.curve, strict=True)]
        return {"token_length": self.settings.token_length, "chosen": names[self.chosen], "points": points}

    def _manifest(self, folder: Path, loaded: ByteLevelBPE, report: dict[str, Any]) -> dict[str, Any]:
        tokenizer = loaded.to_tokenizer()
        probes = [*PROBES, *(text for c in self.added[-3:] if (text := text_of(c.token)) is not None)]
        names = (TOKENIZER_FILE, CONFIG_FILE, ADDED_FILE, REMOVED_FILE, CURVE_FILE)
        base = self.base
        return {
            "schema_version": SCHEMA_VERSION,
            "base": {"name": base.name, "revision": base.revision, "sha256": base.sha256, "size": base.size},
            "settings": self.settings.to_dict(),
            "size": self.bpe.size,
            "num_added": len(self.added),
            "num_removed": len(self.removed),
            "figures": self.figures,
            "self_test": report,
            "probes": [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False).ids} for t in probes],
            "files": {name: sha256((folder / name).read_bytes()).hexdigest() for name in names},
        }


def read_added(folder: Path) -> list[str] | None:
    """Return the tokens that were learned for the tokenizer in a folder; None where it keeps no account of them."""
    path = folder / ADDED_FILE
    if not path.is_file():
        return None
    lines = path.read_bytes().decode("utf-8", "surrogatepass").split("\n")
    return [line.split("\t")[1] for line in lines[1:] if line]


def _table(names: Sequence[str], changes: Sequence[TokenChange]) -> bytes:
    """Return a table with a header; texts are JSON strings, so that a line feed is no new line."""
    lines = ["\t".join(names)]
    for change in changes:
        text = text_of(change.token)
        shown = "" if text is None else json.dumps(text, ensure_ascii=False)
        cells = {"text": shown, "token": change.token}
        values = (cells[name] if name in cells else getattr(change, name) for name in names)
        lines.append("\t".join("" if value is None else str(value) for value in values))
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
