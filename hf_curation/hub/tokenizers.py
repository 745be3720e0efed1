"""Push an adapted tokenizer with its accounts, card and, if given, its model as one commit; then load it from there.

What breaks such a tokenizer makes no noise (see `vocabulary.loading_check`), so ids are compared before anything is
sent, beside the `config.json` that will lie beside it, and again with what the Hub gives back.
"""

import logging
import shutil
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson

from hf_curation.hub.adapted_tokenizer import (
    ACCOUNT_FILES,
    TOKENIZER_FILES,
    AdaptedFacts,
    adapted_tokenizer_card,
    read_facts,
)
from hf_curation.hub.cards import model_card_text
from hf_curation.hub.commits import Artifact, Head, Pushed, check_repo_id, push
from hf_curation.hub.errors import one_line_errors, patiently
from hf_curation.hub.models import stale_weights
from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.loading_check import check_loading

logger = logging.getLogger(__name__)

_MODEL_PATTERNS: Final = ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json")
_ROLES: Final = ("bos", "eos", "pad")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerPush(Pushed):
    """What a push sent, or would send."""

    superwords: tuple[str, ...]
    """Probes across spaces that came back as one id."""


def push_tokenizer(
    folder: str | Path,
    repo_id: str,
    *,
    model_folder: str | Path | None = None,
    private: bool = True,
    dry_run: bool = False,
    license: str | None = None,
) -> TokenizerPush:
    """Push what `AdaptedTokenizer.save` wrote.

    Args:
        folder: The adapted tokenizer.
        repo_id: `you/name`; made where it is not there. A card that is there keeps all that is not ours.
        model_folder: A model that `transfer_embeddings` has moved to this tokenizer, as `save_pretrained` wrote it.
        private: Of a repository that is made here.
        dry_run: Check everything here and say what would be sent; the Hub is not asked.
        license: Of the base, for the card.

    Raises:
        ValueError: if the folder is not whole, the model is not this tokenizer's or of a type that would lose tokens
            across spaces, the token is wrong, or someone else changed our files at the same time.
        OSError: if the Hub does not answer.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    facts = read_facts(folder, repo_id, license=license, has_model=model_folder is not None)
    tokenizer = ByteLevelBPE.load(folder)
    paths = _tokenizer_files(folder) | (_model_files(Path(model_folder), tokenizer) if model_folder else {})
    superwords = tuple(_check_together(tokenizer, paths))
    artifact = Artifact(
        title=f"Tokenizer adapted from {facts.base_name}" + (", with its model" if facts.has_model else ""),
        files=paths,
        card=partial(_card, replace(facts, num_superwords_checked=len(superwords))),
        stale=lambda head: stale_weights(head, paths) if facts.has_model else (),
        check=partial(_check_beside_config, tokenizer=tokenizer, paths=paths),
    )
    done = push(artifact, repo_id, private=private, dry_run=dry_run)
    if done.commit is not None:
        check_loading(repo_id, tokenizer, revision=done.commit)
    return TokenizerPush(**{one.name: getattr(done, one.name) for one in fields(done)}, superwords=superwords)


def base_license(base: str) -> str | None:
    """Return the licence that the card of a base on the Hub names; None for a folder, or where none can be read."""
    if Path(base).exists():
        return None
    from huggingface_hub import HfApi  # noqa: PLC0415

    try:
        with one_line_errors(base):
            card = HfApi().model_info(base).card_data
    except (ValueError, OSError) as error:
        logger.warning("the licence of %s cannot be read: %s", base, error)
        return None
    license_name = None if card is None else card.get("license")
    return None if license_name is None else str(license_name)


def _tokenizer_files(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in (*TOKENIZER_FILES, *ACCOUNT_FILES) if (folder / name).is_file()}


def _model_files(folder: Path, tokenizer: ByteLevelBPE) -> dict[str, Path]:
    """Return a model's files, if it is this tokenizer's model."""
    found = {path.name: path for pattern in _MODEL_PATTERNS for path in sorted(folder.glob(pattern))}
    if "config.json" not in found or not any(name.endswith(".safetensors") for name in found):
        raise ValueError(f"{folder} holds no model (config.json and *.safetensors): save it with save_pretrained")
    config = orjson.loads(found["config.json"].read_bytes())
    config = config.get("text_config", config)
    if config["vocab_size"] < tokenizer.size:
        raise ValueError(
            f"{folder} has {config['vocab_size']} rows and the tokenizer {tokenizer.size} ids: "
            "move the model with transfer_embeddings first"
        )
    ids = tokenizer.vocab | {token["content"]: token["id"] for token in tokenizer.added_tokens}
    for role in _ROLES:
        token, number = tokenizer.config.get(f"{role}_token"), config.get(f"{role}_token_id")
        expected = ids.get(token) if token else None
        if expected is not None and number is not None and expected not in [number, *_listed(number)]:
            raise ValueError(
                f"{folder}: {role}_token_id is {number} in config.json, and {token} is {expected} in the tokenizer: "
                "move the model with transfer_embeddings first"
            )
    return found


def _listed(number: Any) -> list[int]:  # noqa: ANN401 - JSON
    return number if isinstance(number, list) else []


def _check_together(tokenizer: ByteLevelBPE, paths: dict[str, Path]) -> list[str]:
    """Load the tokenizer from a folder where only it and the model's configuration lie."""
    with TemporaryDirectory() as together:
        for name in (*TOKENIZER_FILES, "config.json"):
            if name in paths:
                shutil.copy(paths[name], Path(together, name))
        try:
            return check_loading(together, tokenizer)
        except ValueError as error:
            kind = _model_type(paths["config.json"]) if "config.json" in paths else None
            reason = str(error).replace(together, "the tokenizer")
            if kind is None:
                raise ValueError(reason) from error
            raise ValueError(
                f"model type {kind!r} does not go with this tokenizer: {reason}. Push the tokenizer to a "
                "repository of its own, or save the model under a type that loads it (llama, mistral, olmo2)"
            ) from error


def _check_beside_config(head: Head, *, tokenizer: ByteLevelBPE, paths: dict[str, Path]) -> None:
    """Check it beside the `config.json` that the repository has already, where none is sent."""
    if "config.json" in paths or "config.json" not in head.files:
        return
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    config = patiently(lambda: hf_hub_download(head.repo_id, "config.json", revision=head.commit), head.repo_id)
    _check_together(tokenizer, paths | {"config.json": Path(config)})


def _card(facts: AdaptedFacts, existing: str | None) -> str:
    return model_card_text(lambda card: adapted_tokenizer_card(facts, existing=card), existing)


def _model_type(config: Path) -> str | None:
    kind = orjson.loads(config.read_bytes()).get("model_type")
    return None if kind is None else str(kind)
