"""Push a finished model: one commit, the card that is there read first, nothing overwritten by accident."""

from pathlib import Path

from hf_curation.hub.commits import one_line_errors
from hf_curation.hub.conditioned_model import ConditionedModel, conditioned_model_card


def push_model(folder: Path, repo_id: str, facts: ConditionedModel, *, private: bool = True) -> str:
    """Write the card into `folder` and upload it; return the commit's address.

    Args:
        folder: Model, tokenizer and configuration, as `save_model` wrote them.
        repo_id: `you/model`; created where it is not there. The token is the Hub client's own (`HF_TOKEN`).
        facts: For the card.
        private: Of a repository that is created here.

    Raises:
        ValueError: if the folder holds no model, or the token may not write there.
        OSError: if the Hub does not answer.
    """
    from huggingface_hub import HfApi, ModelCard  # noqa: PLC0415
    from huggingface_hub.errors import EntryNotFoundError  # noqa: PLC0415

    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds no model (*.safetensors): train and save it first")
    api = HfApi()
    with one_line_errors(repo_id):
        api.create_repo(repo_id, private=private, exist_ok=True)
        try:
            existing = ModelCard.load(repo_id)
        except EntryNotFoundError:
            existing = None
        conditioned_model_card(facts, name=repo_id, existing=existing).save(folder / "README.md")
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=repo_id,
            commit_message=f"Model after {facts.steps} steps",
            ignore_patterns=["optimizer*", "training_args.bin"],  # the latter is a pickle
        )
    return str(commit.commit_url)
