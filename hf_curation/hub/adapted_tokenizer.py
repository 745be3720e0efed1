"""What the card of an adapted tokenizer says, read from the folder that `AdaptedTokenizer.save` wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import orjson

from hf_curation.hub.cards import add_tags, replace_section
from hf_curation.vocabulary.adapted import ADDED_FILE, CURVE_FILE, MANIFEST_FILE, REMOVED_FILE
from hf_curation.vocabulary.bpe import CONFIG_FILE, TEMPLATE_FILE, TOKENIZER_FILE
from hf_curation.vocabulary.probes import PROBES

FERTILITY_FILE: Final = "fertility.json"
TOKENIZER_FILES: Final = (TOKENIZER_FILE, CONFIG_FILE, TEMPLATE_FILE)
ACCOUNT_FILES: Final = (ADDED_FILE, REMOVED_FILE, CURVE_FILE, MANIFEST_FILE, FERTILITY_FILE)

_BEGIN: Final = "<!-- hf-curation: written when the tokenizer was adapted -->"
_TAGS: Final = ("hf-curation", "tokenizer", "superwords", "vocabulary-adaptation")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedFacts:
    """Facts for the card."""

    repo_id: str
    manifest: Mapping[str, Any]
    curve: tuple[Mapping[str, Any], ...]
    """Of the base, of the union, of each step: `name`, `size`, `bytes_per_token`, `utility` ..."""
    chosen: str
    """Name of the point that the tokenizer is."""
    token_length: str
    fertility: tuple[Mapping[str, Any], ...]
    license: str | None = None
    has_model: bool = False
    num_superwords_checked: int = 0
    """Tokens across spaces that `AutoTokenizer` gave back as one id."""

    @property
    def base_name(self) -> str:
        """Name of the base; of a folder, only its last part: a card holds no path of a machine."""
        name = str(self.manifest["base"]["name"])
        return name if _is_on_hub(name) else Path(name).name

    def for_template(self) -> dict[str, Any]:
        """Return all that the template names."""
        manifest, figures, base = self.manifest, self.manifest["figures"], self.manifest["base"]
        name = self.base_name
        link = f"[{name}](https://huggingface.co/{name})" if _is_on_hub(name) else f"`{name}`"
        probe = next((one for one in reversed(manifest["probes"]) if len(one["text"].split()) > 1), None)
        return {
            "repo_id": self.repo_id,
            "base_link": link,
            "base_revision": base["revision"],
            "base_sha256": base["sha256"],
            "base_size": base["size"],
            "size": manifest["size"],
            "num_added": manifest["num_added"],
            "num_removed": manifest["num_removed"],
            "settings": manifest["settings"],
            "lowest_learned_count": figures["learned_lowest_count"],
            "target_texts": figures["target_texts"],
            "target_bytes": figures["target_bytes"],
            "target_sha256": figures["target_sha256"],
            "curve": self.curve,
            "chosen": self.chosen,
            "first": self.curve[0],
            "last": next(point for point in self.curve if point["name"] == self.chosen),
            "token_length": self.token_length.replace("_", " "),
            "fertility": self.fertility,
            "license": self.license,
            "has_model": self.has_model,
            "num_probes": len(PROBES),
            "num_superwords_checked": self.num_superwords_checked,
            "probe": probe and {"text": probe["text"], "tokens": len(probe["ids"])},
        }


def read_facts(folder: Path, repo_id: str, *, license: str | None = None, has_model: bool = False) -> AdaptedFacts:
    """Read the accounts of an adapted tokenizer.

    Raises:
        ValueError: if the folder holds none, or a file was changed since.
    """
    if not (folder / MANIFEST_FILE).is_file():
        raise ValueError(
            f"{folder} holds no adapted tokenizer ({MANIFEST_FILE} is missing); make one with "
            "`hf-curation tokenizer adapt`"
        )
    manifest = orjson.loads((folder / MANIFEST_FILE).read_bytes())
    for name, digest in manifest["files"].items():
        if not (folder / name).is_file() or sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise ValueError(f"{folder / name} is not as it was written; adapt the tokenizer again")
    curve = orjson.loads((folder / CURVE_FILE).read_bytes())
    fertility = orjson.loads((folder / FERTILITY_FILE).read_bytes()) if (folder / FERTILITY_FILE).is_file() else []
    points = tuple(
        point | {"bytes_per_token": 1 / point["tokens_per_byte"], "utility": point["utility"][curve["token_length"]]}
        for point in curve["points"]
    )
    return AdaptedFacts(
        repo_id=repo_id,
        manifest=manifest,
        curve=points,
        chosen=curve["chosen"],
        token_length=curve["token_length"],
        fertility=tuple(fertility),
        license=license,
        has_model=has_model,
    )


def adapted_tokenizer_card(facts: AdaptedFacts, *, existing: Any = None) -> Any:  # noqa: ANN401
    """Return the card, a `huggingface_hub.ModelCard`.

    Args:
        facts: Of the adaptation.
        existing: The card that is there, which keeps all that is not ours.
    """
    from huggingface_hub import ModelCard, ModelCardData  # noqa: PLC0415

    card = existing
    if card is None:
        card = ModelCard(f"---\nlibrary_name: transformers\n---\n\n# {facts.repo_id.split('/')[-1]}\n")
        card.data = ModelCardData(library_name="transformers")
    if _is_on_hub(facts.base_name) and not card.data.base_model:
        card.data.base_model = facts.base_name
    add_tags(card.data, _TAGS)
    if facts.license and not card.data.license:
        card.data.license = facts.license
    card.text = replace_section(card.text, _BEGIN, _section(facts))
    return card


def _section(facts: AdaptedFacts) -> str:
    try:
        from jinja2 import Environment, StrictUndefined  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("`jinja2` is needed for the card: pip install 'hf-curation[report]'") from error
    # No page text comes here, and Markdown is not HTML: escaping would only spoil it.
    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701
    environment.filters["pyrepr"] = repr
    template = environment.from_string(files(__package__).joinpath("tokenizer_card.md.j2").read_text("utf-8"))
    return template.render(facts=facts.for_template(), number=_number, percent=_percent, ratio=_ratio)


def _is_on_hub(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()


def _number(value: int) -> str:
    return f"{value:,}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _ratio(numerator: int, denominator: int) -> str:
    return f"{numerator / denominator:.2f}" if denominator else ""
