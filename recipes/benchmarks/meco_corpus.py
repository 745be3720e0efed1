"""Data of the MeCo benchmarks: a tokenizer, a token store and held-out passages, from documents with addresses."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "meco_pretrain"))

import pyarrow as pa
from byte_bpe import train_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from hf_curation.packing import ShardWriter, TokenStore, token_dtype, vocabulary_hash, write_store_index

PASSAGE_CHARS = 600
HELD_OUT = 10
"""One document in ten is held out, by its address."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that no model was trained on."""

    url: str
    text: str


class Corpus:
    """Documents of several hosts, equally many characters of each; built under `folder` once, then read.

    Args:
        documents: JSONL of `{"id", "url", "text"}`.
        folder: Where tokenizer and store go.
        vocabulary: Tokens of the byte-level BPE, trained on the training documents.
        chars_per_host: Most training characters of one host.
        passages_per_host: Held-out passages of one host.
    """

    def __init__(
        self,
        documents: Path,
        folder: Path,
        *,
        vocabulary: int = 4096,
        chars_per_host: int = 900_000,
        passages_per_host: int = 12,
    ) -> None:
        self.folder, self.vocabulary = folder, vocabulary
        self.chars_per_host, self.passages_per_host = chars_per_host, passages_per_host
        self.by_host: dict[str, list[dict[str, str]]] = defaultdict(list)
        for line in documents.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            self.by_host[row["url"].split("/")[2]].append(row)
        for rows in self.by_host.values():
            rows.sort(key=lambda row: _digest(row["url"]))

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer; trained at first use."""
        path = self.folder / "tokenizer"
        if not path.exists():
            train_tokenizer((row["text"] for row in self.training()), self.vocabulary).save_pretrained(path)
        return PreTrainedTokenizerFast.from_pretrained(path)

    @property
    def store(self) -> TokenStore:
        """The training documents as tokens; written at first use."""
        folder = self.folder / "store"
        if not (folder / "store.json").exists():
            writer = ShardWriter(
                folder / "tokens" / "00000.arrow", token_dtype(len(self.tokenizer)), {"url": pa.string()}
            )
            for row in self.training():
                ids = self.tokenizer.encode(row["text"], add_special_tokens=False, split_special_tokens=True)
                writer.add(row["id"], ids, {"url": row["url"]})
            vocabulary = vocabulary_hash(self.tokenizer)
            write_store_index(folder, [writer.close()], tokenizer="trained here", vocabulary_sha256=vocabulary)
        return TokenStore(folder)

    def training(self) -> Iterator[dict[str, str]]:
        """Yield the training documents."""
        for rows in self.by_host.values():
            num_chars = 0
            for row in rows:
                if num_chars < self.chars_per_host and not _is_held_out(row["url"]):
                    num_chars += len(row["text"])
                    yield row

    def passages(self) -> list[Passage]:
        """Return the held-out passages: of each document one, beginning at a line anywhere in it."""
        found = []
        for rows in self.by_host.values():
            held_out = [row for row in rows if _is_held_out(row["url"]) and len(row["text"]) > PASSAGE_CHARS]
            for row in held_out[: self.passages_per_host]:
                at = _digest(row["url"] + "#") % (len(row["text"]) - PASSAGE_CHARS)
                at = row["text"].rfind("\n", 0, at + 1) + 1
                found.append(Passage(row["url"], row["text"][at : at + PASSAGE_CHARS]))
        return found


def make_model(tokenizer: Any, seed: int, *, hidden: int = 128, layers: int = 4) -> LlamaForCausalLM:  # noqa: ANN401
    """Return a small Llama with tied embeddings: 1.4 million parameters as given."""
    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _is_held_out(url: str) -> bool:
    return _digest(url) % HELD_OUT == 0
