"""Push a metric of ours where `evaluate.load("you/NAME")` finds it: a Space that holds `NAME.py`.

`evaluate.push_to_hub` is for results, in a model's card; a metric itself is a Space, whose script must have the
repository's name. Ours imports this package, which has to be installed where the metric is loaded
(`requirements.txt` says so): a copy of its arithmetic in the script could drift from what training reports.
"""

from functools import partial
from pathlib import Path
from typing import Any, Final

from hf_curation import __version__
from hf_curation.evaluation.metric_path import metric_path
from hf_curation.hub.cards import CARD, add_tags, card_text, parse_card, replace_section
from hf_curation.hub.commits import Artifact, Pushed, check_repo_id, push

_BEGIN: Final = "<!-- hf-curation: about the metric -->"
_PAGE: Final = '<!doctype html>\n<meta charset="utf-8">\n<title>{name}</title>\n<pre>\n{card}</pre>\n'


def push_metric(name: str, repo_id: str, *, private: bool = True, dry_run: bool = False) -> Pushed:
    """Push a metric as a Space.

    Args:
        name: Of the metric: `bits_per_byte`.
        repo_id: `you/bits_per_byte`; made where it is not there.
        private: Of a Space that is made here.
        dry_run: Say what would be sent; the Hub is not asked.

    Raises:
        ValueError: for an unknown metric, a repository of another name, or a token that may not write there.
        OSError: if the Hub does not answer.
    """
    folder = Path(metric_path(name))
    check_repo_id(repo_id)
    owner, _, title = repo_id.partition("/")
    if title != name:
        raise ValueError(f"evaluate.load looks for {title}.py in {repo_id}, and this is {name}.py: use {owner}/{name}")
    text = (folder / CARD).read_text(encoding="utf-8")
    shown = text.rpartition("---\n")[2].lstrip().replace("&", "&amp;").replace("<", "&lt;")
    artifact = Artifact(
        title=f"Metric {name} of hf-curation {__version__}",
        files={
            f"{name}.py": folder / f"{name}.py",
            "requirements.txt": f"evaluate\nhf-curation>={__version__}\n".encode(),
            "index.html": _PAGE.format(name=name, card=shown).encode(),
        },
        card=partial(_card, text),
        repo_type="space",
        space_sdk="static",
    )
    return push(artifact, repo_id, private=private, dry_run=dry_run)


def _card(text: str, existing: str | None) -> str:
    """Return our card, or the one that is there, which a new Space has from the Hub, with our part in it."""
    from huggingface_hub import SpaceCard  # noqa: PLC0415

    ours: Any = SpaceCard(text)
    card: Any = ours if existing is None else parse_card(SpaceCard, existing)
    add_tags(card.data, ours.data.tags)
    card.text = replace_section("" if existing is None else card.text, _BEGIN, ours.text)
    return card_text(card, existing)
