"""From shards, one per task, to a store: every task must be there, and all must have done the same thing.

    STORE/tokens/00000.arrow     a task's documents
    STORE/manifests/00000.json   what the task did; its last file
    STORE/store.json             from here on it is a store

A task that begins takes `store.json`, its own old manifest and the tables of prefixes away, so that a folder in the
middle of a second run is no store either.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from hf_curation.files.accounts import StageAccount
from hf_curation.files.atomic import write_json
from hf_curation.packing.store import Shard, TokenStore, write_store_index

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardManifest:
    """What one task of a tokenizing run did."""

    rank: int
    world_size: int
    config: Mapping[str, Any]
    """Tokenizer, its vocabulary's hash, and the columns with their types."""
    shard: Shard
    account: StageAccount

    def write(self, store: Path) -> None:
        """Write the manifest; the shard is at its final name."""
        body = {name: getattr(self, name) for name in ("rank", "world_size", "config")}
        body |= {"schema_version": SCHEMA_VERSION, "shard": asdict(self.shard), "account": self.account.to_dict()}
        write_json(_path(store, self.rank), body)


def begin_shard(store: Path, rank: int, config: Mapping[str, Any]) -> None:
    """Make a folder ready for a task.

    Raises:
        ValueError: if it holds shards that were made with other settings.
    """
    for path in sorted((store / "manifests").glob("*.json")):
        old = orjson.loads(path.read_bytes())["config"]
        if old != config:
            name = next(key for key in sorted({*old, *config}) if old.get(key) != config.get(key))
            raise ValueError(
                f"{store} holds shards with other settings ({name} was {old.get(name)!r} and is "
                f"{config.get(name)!r}): give a new folder, or remove that one"
            )
    (store / "store.json").unlink(missing_ok=True)
    shutil.rmtree(store / "prefixes", ignore_errors=True)
    _path(store, rank).unlink(missing_ok=True)


def merge_shards(store: Path) -> TokenStore:
    """Check that every task of a run has left its shard, and make the folder a store.

    Raises:
        ValueError: if a task is missing, or tasks of different runs lie together.
        ConservationError: if documents appeared or vanished.
    """
    manifests = [orjson.loads(path.read_bytes()) for path in sorted((store / "manifests").glob("*.json"))]
    if not manifests:
        raise ValueError(f"{store} holds no shards: run TokenizeDocuments into it first")
    sizes = {manifest["world_size"] for manifest in manifests}
    if len(sizes) > 1:
        raise ValueError(f"{store} holds shards of runs with {sorted(sizes)} tasks: remove it and tokenize again")
    (size,) = sizes
    if missing := sorted(set(range(size)) - {manifest["rank"] for manifest in manifests}):
        ranks = ", ".join(map(str, missing[:8]))
        raise ValueError(f"{len(missing)} of {size} tasks are not finished (task {ranks}): run them again")
    config = manifests[0]["config"]
    shards = [Shard(**manifest["shard"]) for manifest in manifests]
    _check_files(store, [shard.name for shard in shards])
    for manifest in manifests:
        StageAccount.from_dict(manifest["account"]).check("tokenize")
    write_store_index(store, shards, tokenizer=config["tokenizer"], vocabulary_sha256=config["vocabulary_sha256"])
    return TokenStore(store)


def _check_files(store: Path, names: list[str]) -> None:
    there = {path.name for path in (store / "tokens").glob("*.arrow")}
    if strays := sorted(there - set(names)):
        raise ValueError(f"tokens/{strays[0]} in {store} belongs to no task: remove it and run again")


def _path(store: Path, rank: int) -> Path:
    return store / "manifests" / f"{rank:05d}.json"
