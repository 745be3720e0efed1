"""What each step is worth to a model: bits per byte on held-out clean text, at equal bytes of training text.

For every seed one small model (`proxy_models.py`, 1.1 million parameters) per choice: raw documents, refined ones, and
refined and selected ones; one tokenizer for all, trained on the raw ones; an equal number of bytes, drawn at random in
passages of about 1,000 bytes, since 0.3 MB are but 27 whole pages, and which ones would decide the figures.
What is shown beside the means is the difference to raw, paired by seed, with its 95 % interval by Student's t. A model
this small ranks texts; it is no claim about larger ones.
"""

import json
import random
from typing import TYPE_CHECKING, Any

from pipeline_config import Config
from pipeline_corpus import held_out_rows
from pipeline_settings import digest_of
from pipeline_stages import texts_after
from pipeline_training import AllThreads

from hf_curation.files.atomic import write_json

if TYPE_CHECKING:
    from pipeline_paths import Paths

PASSAGE_BYTES = 1000
VARIANTS = {"read": "raw", "refine": "refined", "select": "refined and selected"}


def compare(config: Config, paths: "Paths") -> dict[str, Any]:
    """Train and score; a model that was scored before, at the same settings, is not trained again."""
    from proxy_models import up_to

    rows = held_out_rows(paths.inputs.held_out)
    if not rows:
        return {"note": "no held-out texts: read.held_out is not given"}
    texts = {name: list(texts_after(stage, config, paths)) for stage, name in _variants(config).items()}
    sizes = {name: sum(len(text.encode()) for text in found) for name, found in texts.items()}
    num_bytes = min(round(config.compare.megabytes * 1e6), *sizes.values())
    tokenizer = _tokenizer(texts["raw"], config.compare.vocabulary)
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in texts}
    folder = paths.output / "compare" / digest_of("compare", config, paths)
    with AllThreads():
        for seed in range(config.compare.seeds):
            for name, found in texts.items():
                path = folder / f"{name.replace(' ', '-')}-{seed}.json"
                if not path.exists():
                    write_json(
                        path, _score(config, up_to(shuffled(passages(found), seed), num_bytes), tokenizer, seed, rows)
                    )
                scores[name].append(json.loads(path.read_bytes()))
    return {"bytes": num_bytes, "seeds": config.compare.seeds, "table": _table(scores)}


def _variants(config: Config) -> dict[str, str]:
    """Return stage -> name of the data; without the stages that are skipped."""
    names = dict(VARIANTS)
    if not config.is_in("refine"):
        names["select"] = "selected"
    return {stage: name for stage, name in names.items() if stage == "read" or config.is_in(stage)}


def _score(
    config: Config,
    texts: list[str],
    tokenizer: Any,  # noqa: ANN401
    seed: int,
    rows: list[dict[str, Any]],
) -> dict[str, float]:
    from proxy_models import ProxySetting, bits_per_byte_of, train_proxy

    setting = ProxySetting(batch=4, hidden=config.compare.hidden, layers=config.compare.layers)  # 0.3 MB: 80 steps
    model = train_proxy(texts, tokenizer, seed, setting)
    groups = ["all", *sorted({row["group"] for row in rows} - {"all"})]
    return {
        group: bits_per_byte_of(model, tokenizer, [row["text"] for row in rows if group in ("all", row["group"])])
        for group in groups
    }


def passages(texts: list[str], num_bytes: int = PASSAGE_BYTES) -> list[str]:
    """Return the texts in pieces of whole lines, each of at least `num_bytes` but for the last of a text."""
    found = []
    for text in texts:
        piece, size = [], 0
        for line in text.split("\n"):
            piece.append(line)
            size += len(line.encode()) + 1
            if size >= num_bytes:
                found.append("\n".join(piece))
                piece, size = [], 0
        if piece:
            found.append("\n".join(piece))
    return found


def shuffled(texts: list[str], seed: int) -> list[str]:
    """Return the texts in an order that follows from the seed."""
    return random.Random(seed).sample(texts, len(texts))  # noqa: S311


def _table(scores: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return variant -> group -> mean, and the difference to raw with its interval."""
    from meco_figures import interval

    return {
        name: {
            group: {
                "mean": interval([run[group] for run in runs])["mean"],
                "difference": interval(
                    [run[group] - raw[group] for run, raw in zip(runs, scores["raw"], strict=True)]
                ),
            }
            for group in runs[0]
        }
        for name, runs in scores.items()
    }


def _tokenizer(texts: list[str], vocabulary: int) -> Any:  # noqa: ANN401
    from meco_corpus import train_tokenizer

    return train_tokenizer(iter(texts), vocabulary)
