"""Push the folder of a finished run as a data set: documents, manifests, figures and card, in one commit.

The manifests go with the data, so that a reader of `hf://datasets/you/name` takes what they list and nothing else, and
a file that is missing there is an error. What the run had to quarantine, and its logs, stay at home. Several runs may
share a repository, each in a folder of its own (`path_in_repo`) and with a configuration of its own in the card.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from hf_curation.files.manifest import Manifest, check_run
from hf_curation.files.plans import Plan, read_json
from hf_curation.hub.cards import CARD, merge_dataset_card
from hf_curation.hub.commits import Artifact, Head, Pushed, push

_DATA: Final = ("data/", "dropped/", "tokens/")
_BESIDE: Final = ("plan.json", "summary.json", "manifests/*.json")
_OF_STEP: Final[Mapping[str, tuple[str, ...]]] = {
    "refine": (),
    "select": ("evidence.json", "choice.json", "weights/*.parquet"),
    "tokenize": ("store.json", "encoder/*.json"),
}
_OURS: Final = (*_DATA, "manifests/", "weights/")
_TITLES: Final = {"refine": "Documents refined", "select": "Documents selected", "tokenize": "Documents tokenized"}


def push_run(
    folder: str | Path, repo_id: str, *, path_in_repo: str = "", private: bool = True, dry_run: bool = False
) -> Pushed:
    """Push the output of `refine`, `select` or `tokenize`.

    Files of an earlier run that this one does not have go in the same commit: old and new are never mixed.

    Args:
        folder: The run's output folder.
        repo_id: `you/data`; made where it is not there.
        path_in_repo: Folder in the repository; empty: its top.
        private: Of a repository that is made here. Page text belongs to its sites: think before you say False.
        dry_run: Check the folder and say what would be sent; the Hub is not asked.

    Raises:
        ValueError: if the run is not finished or a file is not as it wrote it, the repository holds other data, or the
            token may not write there.
        OSError: if the Hub does not answer.
    """
    folder, prefix = Path(folder), _prefix(path_in_repo)
    if not (folder / "plan.json").is_file():
        raise ValueError(f"{folder} holds no run (plan.json is missing): give what refine, select or tokenize wrote")
    plan = Plan(**read_json(folder / "plan.json"))
    if plan.step not in _OF_STEP:
        raise ValueError(f"{folder} holds a run of {plan.step!r}, which makes no data set ({', '.join(_OF_STEP)} do)")
    if not (folder / "summary.json").is_file():
        raise ValueError(f"the run in {folder} is not finished: `hf-curation status {folder}` says what is missing")
    manifests = check_run(folder, plan)
    files = {prefix + name: folder / name for name in _names(folder, plan.step, manifests)}
    artifact = Artifact(
        title=f"{_TITLES[plan.step]} with hf-curation" + (f", {prefix.rstrip('/')}" if prefix else ""),
        files=files,
        card=partial(_card, folder, plan, prefix, repo_id),
        repo_type="dataset",
        sha256={prefix + one.name: one.sha256 for m in manifests for one in m.outputs if prefix + one.name in files},
        stale=lambda head: _stale(head, prefix, files),
        check=lambda head: _check_ours(head, prefix),
    )
    return push(artifact, repo_id, private=private, dry_run=dry_run)


def _prefix(path: str) -> str:
    parts = path.strip("/").split("/")
    if path and any(part in ("", ".", "..", *(name.rstrip("/") for name in _OURS)) for part in parts):
        raise ValueError(f"path_in_repo {path!r} is no folder to put a run in; give a name such as 2024-10")
    return f"{'/'.join(parts)}/" if path else ""


def _names(folder: Path, step: str, manifests: list[Manifest]) -> list[str]:
    written = {one.name for manifest in manifests for one in manifest.outputs if one.name.startswith(_DATA)}
    beside = {
        path.relative_to(folder).as_posix()
        for pattern in (*_BESIDE, *_OF_STEP[step])
        for path in folder.glob(pattern)
        if path.is_file()
    }
    return sorted(written | beside)


def _stale(head: Head, prefix: str, files: Mapping[str, Path]) -> list[str]:
    """Return what an earlier run put there and this one does not have."""
    return [name for name in head.files if name not in files and name.startswith(tuple(prefix + p for p in _OURS))]


def _check_ours(head: Head, prefix: str) -> None:
    """Raise a ValueError where files of others lie in our places: readers would take them for ours."""
    if f"{prefix}plan.json" in head.files:
        return
    if foreign := next((name for name in head.files if name.startswith(tuple(prefix + part for part in _OURS))), None):
        raise ValueError(
            f"{head.repo_id} holds {foreign}, which no run of ours put there: push to another repository, or into a "
            "folder of this one (path_in_repo, --into)"
        )


def _card(folder: Path, plan: Plan, prefix: str, repo_id: str, existing: str | None) -> str:
    from huggingface_hub import DatasetCard  # noqa: PLC0415

    text = _store_card(folder) if plan.step == "tokenize" else (folder / CARD).read_text(encoding="utf-8")
    path, begin = prefix.rstrip("/"), "<!-- hf-curation: written by the run -->"
    if prefix:
        ours: Any = DatasetCard(text)
        ours.data.configs = [_moved(one, path) for one in ours.data.get("configs") or []]
        ours.text = ours.text.replace("\n# ", f"\n# `{path}`: ", 1)
        text, begin = str(ours), f"<!-- hf-curation: written by the run in {path} -->"
    return merge_dataset_card(text, existing, name=repo_id.split("/")[1], begin=begin)


def _moved(config: dict[str, Any], path: str) -> dict[str, Any]:
    """Return a configuration for a run that lies in a folder."""
    name, slug = config["config_name"], path.replace("/", "-")
    return {
        "config_name": slug if name == "default" else f"{slug}-{name}",
        "data_files": f"{path}/{config['data_files']}",
    }


def _store_card(folder: Path) -> str:
    """Return the card of a token store, which has none at home: its shards are no documents to look at."""
    summary = read_json(folder / "summary.json")
    config = summary["config"]
    columns = ", ".join(f"`{name}`" for name in config["columns"]) or "none"
    return "\n".join(
        [
            *("---", "configs:", "- config_name: default", "  data_files: tokens/*.arrow", "  default: true"),
            *("tags:", "- hf-curation", "- datatrove", "---", "", "# Token store", ""),
            f"`{config['source']}`, {summary['documents']['tokenized']:,} documents and {summary['tokens']:,} tokens "
            f"of `{config['tokenizer']}` (vocabulary `{config['vocabulary_sha256'][:16]}`), with hf-curation "
            f"{summary['versions']['hf_curation']}. A row is a document: `id`, `input_ids` without special tokens, "
            f"and metadata ({columns}).",
            "",
            "`hf download` brings the folder that `hf_curation.packing.TokenStore` opens for training; "
            "`load_dataset` reads the rows.",
        ]
    )
