"""From text to training batches on one core, for `packing.py`: encode, write the store, prefixes, plan, collate.

Documents are the Python files installed here (or a JSONL of `text` and `url`), each once: an encoder that remembers
words gains nothing from hearing a text twice. A byte-level BPE of 16,384 tokens is trained on others of them first.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "meco_pretrain"))

import pyarrow as pa
from byte_bpe import train_tokenizer
from transformers import AutoTokenizer

from hf_curation.packing import ShardWriter, TokenStore, token_dtype, write_store_index
from hf_curation.packing.encode import load_encoder
from trainer_callbacks import MeCoDataCollator, MeCoDataset

VOCABULARY, TRAIN_CHARS, SEQ_LEN, BATCH = 16_384, 4_000_000, 2048, 8
Document = tuple[str, str]
"""Text, URL."""


def measure_from_text(path: Path | None, num_bytes: int) -> dict[str, Any]:
    """Return the figures of both encoders; that of `tokenizers` alone where there is no other."""
    documents = read_jsonl(path) if path else installed_files()
    train = list(take(documents, TRAIN_CHARS))
    texts = list(take(documents, num_bytes))
    with tempfile.TemporaryDirectory() as folder:
        train_tokenizer((text for text, _ in train), VOCABULARY).save_pretrained(folder)
        runs = {backend: run(Path(folder), texts, backend) for backend in ("plain", "auto")}
    plain, best = runs["plain"], runs["auto"]
    return {
        "from_text_mtokens_per_s": best["mtokens_per_s"],
        "from_text_mb_per_s": best["mb_per_s"],
        "from_text_encoder": best["encoder"],
        "from_text_encode_share": best["encode_share"],
        "from_text_plain_mtokens_per_s": plain["mtokens_per_s"],
        "from_text_plain_encode_share": plain["encode_share"],
    }


def run(folder: Path, texts: list[Document], backend: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return CPU figures of one pass; loading the tokenizer is not in them."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = load_encoder(str(folder), backend=backend)
    store = folder / f"store-{backend}"
    began = time.process_time()
    encode_s = write_store(store, texts, encoder)
    # Split: every token of the text is in some row.
    dataset = MeCoDataset(TokenStore(store), tokenizer, seq_len=SEQ_LEN, samples_per_step=BATCH, plan="split")
    collate, num_tokens = MeCoDataCollator(tokenizer), 0
    for first in range(0, len(dataset), BATCH):
        batch = collate([dataset[row] for row in range(first, first + BATCH)])
        num_tokens += int((batch["input_ids"] != tokenizer.pad_token_id).sum())
    seconds = time.process_time() - began
    num_bytes = sum(len(text.encode()) for text, _ in texts)
    return {
        "encoder": encoder.bulk.backend_name,
        "mtokens_per_s": round(num_tokens / seconds / 1e6, 2),
        "mb_per_s": round(num_bytes / seconds / 1e6, 1),
        "encode_share": round(encode_s / seconds, 2),
    }


def write_store(folder: Path, texts: list[Document], encoder: Any) -> float:  # noqa: ANN401
    """Write the store as `TokenizeDocuments` does; return the seconds of encoding alone."""
    writer = ShardWriter(folder / "tokens/00000.arrow", token_dtype(encoder.max_token_id), {"url": pa.string()})
    encode_s = 0.0
    for at in range(0, len(texts), 512):
        batch = texts[at : at + 512]
        began = time.process_time()
        encoded = encoder.encode([text for text, _ in batch])
        encode_s += time.process_time() - began
        for number, (ids, (_, url)) in enumerate(zip(encoded, batch, strict=True)):
            writer.add(f"d{at + number}", ids, {"url": url})
    shard = writer.close()
    write_store_index(folder, [shard], tokenizer=encoder.name, vocabulary_sha256=encoder.vocabulary_sha256)
    return encode_s


def installed_files() -> Iterator[Document]:
    """Yield the Python files of the standard library and of installed packages that have text in them."""
    roots = [Path(json.__file__).parent.parent, Path(pa.__file__).parent.parent]
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            text = path.read_text(encoding="utf-8", errors="replace")
            if text.strip():
                name = path.relative_to(root).as_posix()
                yield text, f"https://{name.partition('/')[0].replace('_', '-')}.example/{name}"


def read_jsonl(path: Path) -> Iterator[Document]:
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield row["text"], row["url"]


def take(documents: Iterator[Document], num_chars: int) -> Iterator[Document]:
    """Yield documents until they hold `num_chars`; a generator, so the next call goes on behind them."""
    while num_chars > 0 and (found := list(islice(documents, 1))):
        num_chars -= len(found[0][0])
        yield found[0]
