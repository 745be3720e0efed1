"""Send what a run made to the Hub: refined and selected documents, the adapted tokenizer, the model.

One commit per artifact, private unless the configuration says otherwise, and nothing at all without `push.namespace`.
Logs, quarantined records and checkpoints stay here.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline_config import Config

if TYPE_CHECKING:
    from pipeline_paths import Paths

_PATTERNS: Final = {
    "dataset": ("README.md", "summary.json", "evidence.json", "data/*.parquet", "dropped/*.parquet"),
    "model": ("README.md", "*.json", "*.safetensors", "meco_config.yaml"),
}


def push(config: Config, paths: "Paths") -> dict[str, Any]:
    """Push every artifact that there is; return what was sent, or would be.

    Raises:
        ValueError: if the token may not write there.
        OSError: if the Hub does not answer.
    """
    where = config.push
    if where.namespace is None:
        raise ValueError("nothing is sent without push.namespace, your name or organization")
    sent: dict[str, Any] = {}
    for stage, kind in (("refine", "dataset"), ("select", "dataset"), ("train", "model")):
        folder = paths.folder(stage) / ("final" if stage == "train" else "")
        name = f"{where.namespace}/{where.name}-{paths.folder(stage).name}"
        if config.is_in(stage) and paths.records.read(stage) is not None:
            sent[name] = _push_folder(config, folder, name, kind)
    if config.is_in("adapt") and paths.records.read("adapt") is not None:
        from hf_curation.hub import push_tokenizer

        done = push_tokenizer(
            paths.folder("adapt"),
            f"{where.namespace}/{where.name}-tokenizer",
            private=where.private,
            dry_run=where.dry_run,
        )
        sent[done.repo_id] = {"files": len(done.files), "commit": done.url}
    return {"sent": sent, "dry_run": where.dry_run}


def _push_folder(config: Config, folder: Path, name: str, kind: str) -> dict[str, Any]:
    from huggingface_hub import HfApi

    from hf_curation.hub.commits import check_repo_id, one_line_errors

    check_repo_id(name)
    files = sorted({path for pattern in _PATTERNS[kind] for path in folder.glob(pattern)})
    if config.push.dry_run:
        return {"files": len(files), "commit": None}
    with one_line_errors(name):
        api = HfApi()
        api.create_repo(name, repo_type=kind, private=config.push.private, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=name,
            repo_type=kind,
            allow_patterns=list(_PATTERNS[kind]),
            commit_message="Made with hf-curation",
        )
    return {"files": len(files), "commit": str(commit.commit_url)}
