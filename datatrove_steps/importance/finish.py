"""FinishSelection: a selection checked as a whole against its manifests, and told: summary, evidence, card.

The passes read the same corpus three times, so their accounts must agree: records, documents and what was quarantined
of counting, weighing and keeping; documents, copies and tokens of keeping and of the choice. What does not agree is an
error here, and nothing says that the selection is finished.
"""

from collections.abc import Sequence
from typing import Any

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.importance.card import selection_card
from datatrove_steps.importance.choose import Choices
from datatrove_steps.importance.evidence import assemble_evidence, headline
from datatrove_steps.importance.plan import SelectPlan
from hf_curation.files.accounts import ConservationError, StageAccount, add_stages
from hf_curation.files.atomic import remove_parts, write_json, write_whole
from hf_curation.files.manifest import Manifest
from hf_curation.files.summary import bad_shards, run_facts
from hf_curation.sampling.choice import Choice


class FinishSelection(PipelineStep):  # type: ignore[misc]
    """Check a selection and write `evidence.json`, `README.md` and, last, `summary.json`. Runs as one task.

    Args:
        plan: the run's.
    """

    type = "💽 - WRITER"
    name = "🧾 Finish selection"

    def __init__(self, plan: SelectPlan) -> None:
        super().__init__()
        self.plan = plan

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write card and figures; yields nothing.

        Raises:
            ValueError: if a task of a pass is not finished, or the folder is not what the manifests say.
            ConservationError: if documents appeared or vanished between the passes.
        """
        yield from data or ()
        with self.track_time("run"):
            plan = self.plan
            remove_parts(plan.output)  # of killed attempts; every task has published
            stages = {name: stage.manifests() for name, stage in plan.stages.items()}
            choices = Choices.read(plan.stages["choose"])
            accounts = {name: add_stages(m.stages for m in manifests) for name, manifests in stages.items()}
            check_passes(accounts, choices.chosen)
            summary = summarise_selection(plan, stages["keep"], accounts, choices.chosen)
            evidence = assemble_evidence(plan, choices, accounts["weigh"]["weigh"], summary["excluded"])
            evidence.write(plan.output / "evidence.json")
            summary |= headline(evidence)
            write_whole(
                plan.output / "README.md", selection_card(summary, has_weights=not plan.reuses_weights).encode("utf-8")
            )
            write_json(plan.output / "summary.json", summary, keep_order=True)


def check_passes(accounts: dict[str, dict[str, StageAccount]], choice: Choice) -> None:
    """Check that all passes saw the same documents, and that what was kept is what was chosen.

    Args:
        accounts: pass -> its stages, summed over ranks.
        choice: by which documents were kept.

    Raises:
        ConservationError: names the two passes that disagree.
    """
    reads = {name: accounts[name]["read"] for name in ("count_raw", "weigh", "keep")}
    for name, read in reads.items():
        if (read.num_in, read.num_out, +read.quarantined) != _figures(reads["keep"]):
            raise ConservationError(f"{name} read {_told(read)}, and keep {_told(reads['keep'])}; the corpus changed?")
    kept = accounts["keep"]["choose"]
    pairs = {
        "candidates": (choice.num_candidates, kept.num_in),
        "documents": (choice.total.num_documents, kept.num_out),
        "copies": (choice.total.num_copies, kept.totals["copies_chosen"]),
        "tokens": (choice.total.num_tokens, kept.totals["tokens_chosen"]),
    }
    pairs |= {name: (amount.num_documents, kept.status[name]) for name, amount in choice.by_lane.items()}
    for name, (chosen, found) in pairs.items():
        if chosen != found:
            raise ConservationError(f"{name}: {chosen} were chosen and {found} kept")


def summarise_selection(
    plan: SelectPlan, manifests: Sequence[Manifest], accounts: dict[str, dict[str, StageAccount]], choice: Choice
) -> dict[str, Any]:
    """Return the figures of a selection, as plain data.

    `documents` adds up: `in` = `chosen` + `not_chosen` + `excluded` + `quarantined`.
    """
    keep = accounts["keep"]
    read, chosen = keep["read"], keep["choose"]
    excluded = {reason: n for reason, n in sorted(chosen.dropped.items()) if n and reason != "not_chosen"}
    return {
        **run_facts(manifests[0]),
        "documents": {
            "in": read.num_in,
            "chosen": chosen.num_out,
            "not_chosen": chosen.dropped["not_chosen"],
            "excluded": sum(excluded.values()),
            "quarantined": read.num_quarantined,
        },
        "excluded": excluded,
        "quarantined": dict(sorted(read.quarantined.items())),
        "bad_shards": bad_shards(manifests),
        "tokens": {
            "in": chosen.totals["tokens_in"],
            "eligible": choice.eligible.num_tokens,
            "chosen": choice.total.num_tokens,
        },
        "copies": choice.total.num_copies,
        "budget": {"asked": str(choice.rules.budget), "unit": str(choice.unit), "amount": choice.budget},
        "lanes": {name: _amount(amount) for name, amount in choice.by_lane.items()},
        "sources": {name: _amount(amount) for name, amount in choice.by_source.items()},
        "targets": _targets(plan, accounts),
        "columns": list(plan.layout.ours),
        "model": _facts_of_model(plan),
    }


def _targets(plan: SelectPlan, accounts: dict[str, dict[str, StageAccount]]) -> dict[str, Any]:
    read = accounts["count_target"]["read"]
    figures = accounts["count_target"]["count"]
    return {
        "names": [one.name for one in plan.targets],
        "documents": read.num_out,
        "quarantined": read.num_quarantined,
        "tokens": figures.totals["tokens"],
        "ngrams": figures.totals["ngrams"],
    }


def _facts_of_model(plan: SelectPlan) -> dict[str, Any]:
    from hf_curation.sampling.importance import ImportanceModel  # noqa: PLC0415 - loads kernels for nothing otherwise

    model = ImportanceModel.load(plan.scored("model.npz"), tokens=plan.config.features)
    return {"sha256": model.digest, "targets": list(model.target_names)} | {
        name: value
        for name, value in model.facts.items()
        if name != "features"  # in `config`
    }


def _amount(amount: Any) -> dict[str, int]:  # noqa: ANN401 - sampling.choice.Amount
    return {"documents": amount.num_documents, "copies": amount.num_copies, "tokens": amount.num_tokens}


def _figures(read: StageAccount) -> tuple[Any, ...]:
    return read.num_in, read.num_out, +read.quarantined


def _told(read: StageAccount) -> str:
    return f"{read.num_in} records with {read.num_out} documents"
