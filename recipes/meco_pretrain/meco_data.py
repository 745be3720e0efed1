"""Documents to a token store: a tokenizer (given, or trained here), held-out documents, and one tokenized copy.

Enough for what one machine tokenizes in minutes. For more, run `hf-curation tokenize`, here or on Slurm, and give the
finished store as `data.documents`; every other setting of the recipe stays.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b, sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from byte_bpe import train_tokenizer
from meco_config import PACKAGE_DESCRIPTIONS, Config

from hf_curation.files.atomic import PartFile, canonical_json, write_json
from hf_curation.files.pins import Pins, split_revision
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
    name, revision = split_revision(name)
    return AutoTokenizer.from_pretrained(name, revision=revision)


def tokenizer_path(config: Config) -> str:
    """Return the name or folder of the tokenizer."""
    if not config.model.tokenizer.startswith("train:"):
        return config.model.tokenizer
    facts = canonical_json([config.model.tokenizer, config.data.documents, _num_kept_out(config)])
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
    facts = [documents, tokenizer_path(config), config.data.columns, _num_kept_out(config)]
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
    return _num_kept_out(config) > 0 and int.from_bytes(digest, "big") % 10 == 0


def held_out(config: Config) -> list[dict[str, Any]]:
    """Return the held-out documents, columns and the beginning of `text`; none for a token store without others."""
    given, path = config.data.held_out_documents, store_path(config, config.data.documents) / "held_out.jsonl"
    if given is not None:
        documents = islice(read(given), config.data.held_out)
        rows = [{**doc.metadata, "id": doc.id, "text": doc.text} for doc in documents]
    elif _is_store(config.data.documents) or not path.exists():
        return []
    else:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][: config.data.held_out]
    return [row | {"text": row["text"][:MAX_CHARS]} for row in rows]


def check_not_trained_on(rows: list[dict[str, Any]], store: TokenStore, tokenizer: Any) -> None:  # noqa: ANN401
    """Raise a ValueError where a held-out document begins like the one of its id in the store."""
    by_id = {row["id"]: row for row in rows}
    is_named = pc.is_in(store.table["id"], value_set=pa.array(list(by_id), pa.string()))
    for place in np.flatnonzero(is_named.to_numpy()).tolist():
        row = by_id[store.metadata(place)["id"]]
        ids = tokenizer(row["text"], add_special_tokens=False)["input_ids"][:-1]  # the last token may be cut
        if store.tokens(place, length=len(ids)).tolist() == ids:
            raise ValueError(f"document {row['id']!r} is held out and in {store.folder}: tokenize without it")


def pin_models(config: Config) -> Config:
    """Return the configuration with commits in models and tokenizers of the Hub, the same for every launch."""
    path = config.output / "pins.json"
    pins = Pins(json.loads(path.read_bytes()) if path.exists() else None)
    named: dict[str, str] = {}
    for key in ("tokenizer", "pretrained"):
        name = getattr(config.model, key)
        if name is not None and not name.startswith("train:"):
            base, commit = pins.model(name)
            named[key] = name if commit is None else f"{base}@{commit}"
    if pins.used:
        write_json(path, pins.used)
    return replace(config, model=replace(config.model, **named))


def reader(documents: str) -> Any:  # noqa: ANN401 - a PipelineStep
    """Return the step that reads the documents."""
    from datatrove_steps import ReadDocuments
    from datatrove_steps.package_descriptions import ReadPackageDescriptions

    return ReadPackageDescriptions() if documents == PACKAGE_DESCRIPTIONS else ReadDocuments(documents)


def read(documents: str) -> Iterator[Any]:
    """Yield the documents."""
    yield from reader(documents).run()


def _num_kept_out(config: Config) -> int:
    """Return how many documents of `data.documents` are scored and not trained on."""
    return config.data.held_out if config.data.held_out_documents is None else 0


def _is_store(documents: str) -> bool:
    return (Path(documents) / "store.json").exists()
