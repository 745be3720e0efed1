"""From what the passes counted to the evidence of a selection, and its headline for the summary."""

from itertools import islice
from typing import Any, Final

import numpy as np

from datatrove_steps.importance.choose import Choices
from datatrove_steps.importance.count import read_counts
from datatrove_steps.importance.featurizers import featurizer_of
from datatrove_steps.importance.kept import KeptGroups
from datatrove_steps.importance.plan import SelectPlan
from datatrove_steps.importance.texts import Rejects, read_texts
from datatrove_steps.importance.weigh import LEAKED
from hf_curation.files.accounts import StageAccount
from hf_curation.sampling.evidence import ALL_TARGETS, Asked, Evidence, LeakReport, assemble, leak_report
from hf_curation.sampling.importance import ImportanceModel
from hf_curation.sampling.leakage import LeakIndex
from hf_curation.sampling.samples import MAX_TEXT
from hf_curation.sampling.shifts import Shifts, find_shifts

_TARGET_TEXTS: Final = 400  # as many as of the corpus, see `kept`; finding names is slow


def assemble_evidence(plan: SelectPlan, choices: Choices, weighed: StageAccount, excluded: dict[str, int]) -> Evidence:
    """Return the evidence of a finished selection.

    Args:
        plan: the run's.
        choices: the choice, and those that it is compared with.
        weighed: what the weighing pass counted.
        excluded: reason -> documents that could not be chosen.
    """
    spec, stages = plan.config.spec, plan.stages
    targets = read_counts(stages["count_target"], spec, len(plan.targets))
    [raw] = read_counts(stages["count_raw"], spec)
    kept = _merged(plan)
    model = ImportanceModel.load(plan.scored("model.npz"), tokens=plan.config.features)
    return assemble(
        asked=_asked(plan, model),
        targets={one.name: group for one, group in zip(plan.targets, targets, strict=True)},
        groups={"raw": raw, **kept.groups},
        log_sums=choices.log_sums,
        overlap=kept.overlap,
        excluded=excluded,
        shifts=_shifts(plan, model, kept.corpus_texts()),
        sample=kept.sample,
        leakage=_leakage(plan, kept, weighed),
    )


def headline(evidence: Evidence) -> dict[str, Any]:
    """Return what `summary.json` says of the evidence: KL in nats, and how much of a draw it was."""
    kl = {}
    for features in ("sampler", "probe"):
        found = evidence.divergence(features)
        if found is not None:
            kl[features] = found.nats
    return {
        "kl": kl,
        "effective_size": evidence.effective_size,
        "overlap_with_top_k": None if evidence.overlap is None else evidence.overlap.share,
    }


def _merged(plan: SelectPlan) -> KeptGroups:
    folder = plan.output / "counts" / "kept"
    total = KeptGroups.load(folder, 0)
    for rank in range(1, plan.stages["keep"].plan.world_size):
        total.merge(KeptGroups.load(folder, rank))
    return total


def _asked(plan: SelectPlan, model: ImportanceModel) -> Asked:
    config, scoring = plan.config, plan.config.scoring
    return Asked(
        targets=tuple(one.name for one in plan.targets),
        budget=str(config.rules.budget),
        raw=plan.stages["keep"].plan.config["source"],
        features=plan.stages["fit"].plan.config["features"],
        scoring={name: getattr(scoring, name) for name in scoring.__slots__},
        rules=config.rules.to_dict(),
        smoothing=model.facts["smoothing"],
    )


def _shifts(plan: SelectPlan, model: ImportanceModel, corpus: list[str]) -> dict[str, Shifts]:
    """Return the n-grams that the choice followed, for each table of the model."""
    texts = {one.name: _texts_of_target(plan, i) for i, one in enumerate(plan.targets)}
    if plan.config.separate:
        return {
            name: find_shifts(featurizer_of(model.spec), model.table[i], texts[name], corpus)
            for i, name in enumerate(texts)
        }
    name = next(iter(texts)) if len(texts) == 1 else ALL_TARGETS
    together = (
        [text for found in zip(*texts.values(), strict=False) for text in found] if len(texts) > 1 else texts[name]
    )
    return {name: find_shifts(featurizer_of(model.spec), model.table, together, corpus)}


def _texts_of_target(plan: SelectPlan, group: int) -> list[str]:
    """Return the first texts of a target."""
    readings = [reading for reading in plan.target_readings if reading.group == group]
    batches = (
        batch for reading in readings for batch in read_texts(reading.source, reading.spans, reading.keys, Rejects())
    )
    texts = (
        text
        for batch in batches
        for text in (batch.texts if isinstance(batch.texts, list) else batch.texts.to_pylist())
    )
    return [text[:MAX_TEXT] for text in islice(texts, _TARGET_TEXTS)]


def _leakage(plan: SelectPlan, kept: KeptGroups, weighed: StageAccount) -> LeakReport | None:
    if not plan.held_out:
        return None
    index = LeakIndex.load(plan.scored("leakage.npz"))
    counts = np.array([weighed.totals[f"{LEAKED}{one.name}"] for one in index.sets], np.int64)
    shown = [index.find_examples(document.text, limit=1) for document in kept.sample.documents()["leaked"]]
    return leak_report(index, counts, [example for found in shown for example in found])
