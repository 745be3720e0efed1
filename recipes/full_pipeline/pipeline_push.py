"""Send what a run made to the Hub: refined and selected documents, the adapted tokenizer, the model.

One commit per artifact with its card, private unless the configuration says otherwise, and nothing at all without
`push.namespace`. Logs, quarantined records and checkpoints stay here. Killed, it is run again: what is there whole is
not sent again, and an artifact that has not changed makes no commit.
"""

import sys
from typing import TYPE_CHECKING, Any, Final

from pipeline_config import Config

if TYPE_CHECKING:
    from pipeline_paths import Paths

_ARTIFACTS: Final = {
    "refine": ("refined", ""),
    "select": ("selected", ""),
    "adapt": ("tokenizer", ""),
    "train": ("model", "final"),
}
"""Stage -> end of the repository's name, and folder within the stage's."""


def push(config: Config, paths: "Paths") -> dict[str, Any]:
    """Push every artifact that there is; return what was sent, or would be.

    Raises:
        ValueError: if the token may not write there, or a repository holds something else.
        OSError: if the Hub does not answer.
    """
    from hf_curation.hub import push_folder

    where = config.push
    if where.namespace is None:
        raise ValueError("nothing is sent without push.namespace, your name or organization")
    sent: dict[str, Any] = {}
    for stage, (name, folder) in _ARTIFACTS.items():
        if config.is_in(stage) and paths.records.read(stage) is not None:
            done = push_folder(
                str(paths.folder(stage) / folder),
                f"{where.namespace}/{where.name}-{name}",
                private=where.private,
                dry_run=where.dry_run,
            )
            sent[done.repo_id] = {"files": len(done.files), "commit": done.url}
            what = f"{len(done.files)} files, {sum(size for _, size in done.files):,} bytes"
            print(f"  {what} {f'would go to {done.repo_id}' if where.dry_run else f'at {done.url}'}", file=sys.stderr)
    return {"sent": sent, "dry_run": where.dry_run}
