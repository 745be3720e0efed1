"""The finished refiner on whole pages of sites that it was not trained on, read from where everyone will read it."""

from pathlib import Path

from refiner_config import Config
from refiner_data import RefinerData


def page_table(config: Config, final: Path, data: RefinerData) -> list[str]:
    """Return the lines of `hf-curation refiner evaluate` for keep-all and this model; none without pages.

    Raises:
        ValueError: if `evaluation.pages` holds no page of the validation split.
    """
    asked = config.evaluation
    if asked.pages is None:
        return []
    from hf_curation.evaluation.gold_pages import read_gold_pages
    from hf_curation.evaluation.refiner_figures import EvaluationSet
    from hf_curation.evaluation.refiner_table import format_table
    from hf_curation.refiners import Stage, load_refiner
    from hf_curation.refiners.baselines import KeepEverything
    from hf_curation.refiners.training import SplitRule

    rule = SplitRule(**data.settings.get("split", {}))
    pages = [page for page in read_gold_pages(asked.pages) if rule.split_of(page.domain) == "validation"]
    judged = EvaluationSet(pages[: asked.max_pages])
    stages = {example.stage for example in data.train.examples}
    chunk = load_refiner(str(final), stage=Stage.CHUNK) if Stage.CHUNK in stages else KeepEverything()
    document = load_refiner(str(final), stage=Stage.DOCUMENT) if Stage.DOCUMENT in stages else None
    columns = [judged.evaluate(KeepEverything()), judged.evaluate(chunk, doc_refiner=document)]
    return [f"{len(judged.pages)} pages", *format_table(columns)]
