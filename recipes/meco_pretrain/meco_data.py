"""Documents to a token store: a tokenizer (given, or trained here), held-out documents, and one tokenized copy.

Enough for what one machine tokenizes in minutes. For more, run `hf-curation tokenize`, here or on Slurm, and give the
finished store as `data.documents`; every other setting of the recipe stays.
"""

import json
from collections.abc import Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from byte_bpe import train_tokenizer
from meco_config import PACKAGE_DESCRIPTIONS, Config

from hf_curation.files.atomic import PartFile, canonical_json
from hf_curation.packing import TokenStore
from hf_curation.packing.merge import merge_shards

MAX_CHARS = 10_000
"""Of a held-out document that are scored."""


def prepare(config: Config) -> tuple[Any, TokenStore, TokenStore | None]:
    """Return tokenizer, store, and the cooldown's own store where there is one; what is there is not made again."""
    tokenizer = load_tokenizer(config)
    cooldown = config.data.cooldown_documents
    return (
        tokenizer,
        open_store(config, config.data.documents),
        None if cooldown is None else open_store(config, cooldown),
    )


def load_tokenizer(config: Config) -> Any:  # noqa: ANN401
    """Return the tokenizer, trained on the documents where the configuration says so."""
    from transformers import AutoTokenizer

    name = tokenizer_path(config)
    if config.model.tokenizer.startswith("train:") and not Path(name).exists():
        if _is_store(config.data.documents):
            raise ValueError("model.tokenizer must be the one that wrote the token store, not train:N")
        documents = (doc.text for doc in read(config.data.documents) if not is_held_out(config, doc.id))
        train_tokenizer(documents, int(config.model.tokenizer.removeprefix("train:"))).save_pretrained(name)
    return AutoTokenizer.from_pretrained(name)


def tokenizer_path(config: Config) -> str:
    """Return the name or folder of the tokenizer."""
    if not config.model.tokenizer.startswith("train:"):
        return config.model.tokenizer
    facts = canonical_json([config.model.tokenizer, config.data.documents, config.data.held_out])
    return str(config.output / "tokenizer" / sha256(facts).hexdigest()[:12])


def open_store(config: Config, documents: str) -> TokenStore:
    """Return the store that `documents` names, or one made of them under the output folder."""
    if _is_store(documents):
        return TokenStore(documents)
    from datatrove_steps.executors import LocalRanks
    from datatrove_steps.tokenize import TokenizeDocuments

    folder = store_path(config, documents)
    if not (folder / "store.json").exists():
        steps = [
            reader(documents),
            HoldOut(config, folder),
            TokenizeDocuments(folder, tokenizer_path(config), columns=config.data.columns),
        ]
        LocalRanks(pipeline=steps, tasks=1, logging_dir=str(folder / "logs"), skip_completed=False).run()
        merge_shards(folder)
    return TokenStore(folder)


def store_path(config: Config, documents: str) -> Path:
    """Return the folder of the store made of `documents`; other settings, another folder."""
    facts = [documents, tokenizer_path(config), config.data.columns, config.data.held_out]
    return config.output / "data" / sha256(canonical_json(facts)).hexdigest()[:12]


class HoldOut:
    """A step that keeps documents from training: written to `held_out.jsonl` beside the store, not passed on."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.path = config, folder / "held_out.jsonl"

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:  # noqa: ANN401
        """Yield the documents to train on."""
        with PartFile(self.path) as part:
            for doc in data:
                if is_held_out(self.config, doc.id):
                    row = {**doc.metadata, "id": doc.id, "text": doc.text}
                    part.write(json.dumps(row, default=str).encode() + b"\n")
                else:
                    yield doc


def is_held_out(config: Config, document_id: str) -> bool:
    """Tell whether a document is one of the one in ten from which the held-out ones are taken."""
    digest = blake2b(document_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return config.data.held_out > 0 and int.from_bytes(digest, "big") % 10 == 0


def held_out(config: Config) -> list[dict[str, Any]]:
    """Return the held-out documents, columns and the beginning of `text`; none for a token store."""
    path = store_path(config, config.data.documents) / "held_out.jsonl"
    if _is_store(config.data.documents) or not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row | {"text": row["text"][:MAX_CHARS]} for row in rows[: config.data.held_out]]


def reader(documents: str) -> Any:  # noqa: ANN401 - a PipelineStep
    """Return the step that reads the documents."""
    from datatrove_steps import ReadDocuments
    from datatrove_steps.package_descriptions import ReadPackageDescriptions

    return ReadPackageDescriptions() if documents == PACKAGE_DESCRIPTIONS else ReadDocuments(documents)


def read(documents: str) -> Iterator[Any]:
    """Yield the documents."""
    yield from reader(documents).run()


def _is_store(documents: str) -> bool:
    return (Path(documents) / "store.json").exists()
