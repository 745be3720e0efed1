"""Push a finished model: one commit, the card that is there read first, nothing overwritten by accident."""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, Final

from hf_curation.files.atomic import write_whole
from hf_curation.hub.cards import CARD, END, add_tags, model_card_text, replace_section
from hf_curation.hub.commits import Artifact, Head, Pushed, push
from hf_curation.hub.conditioned_model import ConditionedModel, conditioned_model_card

_LEFT_OUT: Final = ("optimizer*", "scheduler*", "rng_state*", "training_args.bin", "*.pt", "*.pth", CARD)
"""State of a training run, and pickles."""
_WEIGHTS: Final = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
_SECTION_RE: Final = re.compile(rf"(<!-- hf-curation: (?!end).*?-->)(.*?){re.escape(END)}", re.DOTALL)


def push_model(
    folder: Path,
    repo_id: str,
    facts: ConditionedModel | None = None,
    *,
    title: str | None = None,
    private: bool = True,
    dry_run: bool = False,
) -> Pushed:
    """Upload a model with its tokenizer, configuration and card.

    Args:
        folder: Model, tokenizer and configuration, as `save_model` wrote them.
        repo_id: `you/model`; created where it is not there. The token is the Hub client's own (`HF_TOKEN`).
        facts: For the card of a model trained with metadata, which is also written to `folder`; None: the card is
            what our marks enclose in the folder's own.
        title: Of the commit.
        private: Of a repository that is created here.
        dry_run: Say what would be sent; the Hub is not asked.

    Raises:
        ValueError: if the folder holds no model, or the token may not write there.
        OSError: if the Hub does not answer.
    """
    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds no model (*.safetensors): train and save it first")
    files = {path.name: path for path in sorted(folder.iterdir()) if _is_sent(path)}
    artifact = Artifact(
        title=title or ("Model made with hf-curation" if facts is None else f"Model after {facts.steps} steps"),
        files=files,
        card=_card_of(folder, repo_id, facts),
        stale=lambda head: stale_weights(head, files),
    )
    return push(artifact, repo_id, private=private, dry_run=dry_run)


def stale_weights(head: Head, files: Iterable[str]) -> list[str]:
    """Return weights that a repository holds and `files` do not: `from_pretrained` might take these."""
    sent = set(files)
    return [name for name in head.files if name not in sent and any(fnmatch(name, one) for one in _WEIGHTS)]


def _is_sent(path: Path) -> bool:
    return path.is_file() and path.name[0] != "." and not any(fnmatch(path.name, one) for one in _LEFT_OUT)


def _card_of(folder: Path, repo_id: str, facts: ConditionedModel | None) -> Callable[[str | None], str]:
    path = folder / CARD
    if facts is None:
        return partial(_own_card, path.read_text(encoding="utf-8") if path.is_file() else "", repo_id)
    card = partial(model_card_text, partial(_conditioned, facts, repo_id))
    write_whole(path, card(None).encode())
    return card


def _conditioned(facts: ConditionedModel, repo_id: str, existing: Any) -> Any:  # noqa: ANN401
    return conditioned_model_card(facts, name=repo_id, existing=existing)


def _own_card(text: str, repo_id: str, existing: str | None) -> str:
    """Return a folder's card; of a card that is there only the parts between our marks are renewed."""
    from huggingface_hub import ModelCard  # noqa: PLC0415

    text = text if text.strip() else f"---\ntags: [hf-curation]\n---\n\n# {repo_id.split('/')[1]}\n"
    if existing is None:
        return text
    ours: Any = ModelCard(text)

    def renew(card: Any) -> Any:  # noqa: ANN401
        add_tags(card.data, ours.data.tags or [])
        for begin, section in _SECTION_RE.findall(ours.text):
            card.text = replace_section(card.text, begin, section)
        return card

    return model_card_text(renew, existing)
