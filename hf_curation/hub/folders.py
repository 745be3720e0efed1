"""`push_folder`: what a folder holds decides how it is pushed."""

from pathlib import Path

from hf_curation.evaluation.metric_path import metric_names
from hf_curation.hub.commits import Pushed
from hf_curation.hub.metrics import push_metric
from hf_curation.hub.models import push_model
from hf_curation.hub.runs import push_run
from hf_curation.hub.tokenizers import base_license, push_tokenizer
from hf_curation.hub.training_data import push_training_set
from hf_curation.vocabulary.adapted import MANIFEST_FILE


def push_folder(
    what: str, repo_id: str, *, path_in_repo: str = "", private: bool = True, dry_run: bool = False
) -> Pushed:
    """Push a run, a training set, an adapted tokenizer (with its model), a model, or a metric, with its card.

    Args:
        what: A folder, or the name of a metric.
        repo_id: `you/name`; made where it is not there.
        path_in_repo: Of a run: a folder in the repository.
        private: Of a repository that is made here.
        dry_run: Say what would be sent; the Hub is not asked.

    Raises:
        ValueError: if it is none of these, is not whole, or the token may not write there.
        OSError: if the Hub does not answer.
    """
    folder = Path(what).expanduser()
    if (folder / "plan.json").is_file():
        return push_run(folder, repo_id, path_in_repo=path_in_repo, private=private, dry_run=dry_run)
    if path_in_repo:
        raise ValueError(f"only runs go into a folder of a repository, and {what} holds none (plan.json)")
    if not folder.is_dir() and what in metric_names():
        return push_metric(what, repo_id, private=private, dry_run=dry_run)
    if (folder / MANIFEST_FILE).is_file():
        return _push_tokenizer(folder, repo_id, private=private, dry_run=dry_run)
    if (folder / "report.json").is_file() and (folder / "data").is_dir():
        return push_training_set(folder, repo_id, private=private, dry_run=dry_run)
    if any(folder.glob("*.safetensors")):
        return push_model(folder, repo_id, private=private, dry_run=dry_run)
    raise ValueError(
        f"{what} holds nothing to push: give the OUTPUT of refine, select, tokenize, `refiner make-data` or "
        f"`tokenizer adapt`, the folder of a model, or a metric ({', '.join(metric_names())})"
    )


def _push_tokenizer(folder: Path, repo_id: str, *, private: bool, dry_run: bool) -> Pushed:
    from hf_curation.hub.adapted_tokenizer import read_facts  # noqa: PLC0415

    base = str(read_facts(folder, repo_id).manifest["base"]["name"])
    model = folder / "model"
    return push_tokenizer(
        folder,
        repo_id,
        model_folder=model if model.is_dir() else None,
        private=private,
        dry_run=dry_run,
        license=None if dry_run or base.count("/") != 1 else base_license(base),
    )
