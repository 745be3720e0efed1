"""What became of each document, counted one way by every step that refines, whoever asked the model."""

from collections.abc import Iterator

from datatrove.data import Document

from datatrove_steps.quarantine import Quarantine
from hf_curation.files.accounts import StageAccount
from hf_curation.refiners.cost import megaflops
from hf_curation.refiners.refine import Refined


def count_refined(account: StageAccount, text: str, refined: Refined, reason: str | None) -> None:
    """Add one refined document to an account.

    Args:
        account: Of the stage.
        text: The document's text as it came.
        refined: What refining did to it.
        reason: Why the document is left out; None when it goes on.
    """
    result, totals = refined.result, account.totals
    totals["chars_in"] += len(text)
    if reason:
        account.dropped[reason] += 1
        totals["chars_dropped"] += len(text)
    else:
        account.num_out += 1
        account.status[result.status] += 1
        totals["chars_out"] += len(result.text)
        if result.edits:
            totals["chars_removed"] += len(text) - len(result.text)
            totals["lines_removed"] += _num_lines(text) - _num_lines(result.text)
    totals["calls_applied"] += result.num_applied
    totals["calls_clamped"] += result.num_clamped
    totals["prompt_tokens"] += refined.prompt_tokens
    totals["output_tokens"] += refined.output_tokens
    totals["model_megaflops"] += megaflops(refined.num_parameters, refined.prompt_tokens + refined.output_tokens)
    totals["partly_judged"] += refined.judged_fraction < 1
    account.fallbacks.update(result.fallbacks)
    account.rejected.update(rejection.reason for rejection in result.rejected)


def set_aside(quarantine: Quarantine, reason: str, doc: Document, account: StageAccount, detail: str = "") -> None:
    """Quarantine a document and count its characters."""
    num_chars = len(doc.text) if isinstance(doc.text, str) else 0
    account.totals["chars_in"] += num_chars
    account.totals["chars_quarantined"] += num_chars
    quarantine.add_document(reason, doc, detail)


def statistics_of(account: StageAccount) -> Iterator[tuple[str, int]]:
    """Yield an account as datatrove's statistics: `kept`, `dropped_<reason>`, `fallback_<reason>`, `total_<sum>`."""
    groups = {"": account.status, "dropped_": account.dropped, "quarantined_": account.quarantined}
    groups |= {"fallback_": account.fallbacks, "rejected_": account.rejected, "total_": account.totals}
    for prefix, counter in groups.items():
        for key, value in counter.items():
            yield f"{prefix}{key}", value


def _num_lines(text: str) -> int:
    r"""Count lines as `programs.lines` does: `\r\n` is one break, a lone `\r` too."""
    return 1 + text.count("\n") + (text.count("\r") - text.count("\r\n") if "\r" in text else 0)
