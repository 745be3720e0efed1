"""From the captures of a WARC file to texts, or to the reasons why there are none.

datatrove's extractors do the work, in its sandbox: a process of its own, so that a page that hangs or crashes an HTML
parser costs that page alone. The limit of seconds is far above what any page takes, since a limit that a busy machine
reaches would make the output depend on the day.

Without a word `VisibleText` is used: refining takes away what is not content, so extraction should not; and the
embedded tagger was trained on texts that were made just so. `datatrove.pipeline.extractors.Trafilatura` guesses the
main content itself: lines that it leaves out are lost before a refiner sees them, and with its default `deduplicate`
a text depends on the pages before it.
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Final

from datatrove.pipeline.extractors.base import BaseExtractor, ExtractorSandbox

from hf_curation.files.warc import Capture, NoPageError, page_of

WARC_COLUMNS: Final = ("url", "date")
"""What a capture brings beside its id, as datatrove's `WarcReader` names it."""
EXTRACTION_REASONS: Final[dict[str, str]] = {
    "extraction_timeout": "the extractor did not come to an end with the page",
    "extraction_failed": "the extractor raised an exception or its process died on the page",
    "nothing_extracted": "the page has no visible text",
}
"""Reason -> what it means; part of the quarantine's closed set."""
_TIMEOUT_S: Final = 60.0


class VisibleText(BaseExtractor):  # type: ignore[misc]
    """Everything that a reader would see on a page, menus and footers included, a line for each block; resiliparse.

    Args:
        timeout: seconds for a page.

    Raises:
        ImportError: if resiliparse is absent.
    """

    name = "⛏ Visible text"

    def __init__(self, timeout: float = _TIMEOUT_S) -> None:
        super().__init__(timeout)
        _resiliparse()  # before the sandbox is forked, which then need not load it

    def extract(self, text: str) -> str:
        """Return the visible text of HTML."""
        return str(_resiliparse().extract_plain_text(text, main_content=False))


def _resiliparse() -> Any:  # noqa: ANN401 - a module without types
    try:
        return import_module("resiliparse.extract.html2text")
    except ImportError as error:
        raise ImportError("WARC needs an HTML extractor: pip install 'hf-curation[warc]'") from error


def extract_captures(
    captures: Iterable[Capture], extractor: BaseExtractor | None = None
) -> Iterator[tuple[Capture, str, str | None]]:
    """Yield every capture with its text, or with a reason of `WARC_REASONS` or `EXTRACTION_REASONS`.

    Args:
        captures: of a file.
        extractor: takes text out of HTML; None for `VisibleText`.
    """
    extractor = extractor or VisibleText()
    with ExtractorSandbox(timeout=extractor.timeout) as sandbox:
        for capture in captures:
            try:
                text, is_html = page_of(capture)
            except NoPageError as error:
                yield capture, "", str(error)
                continue
            reason = None
            if is_html:
                text, reason = _extract(text, extractor, sandbox)
            yield capture, text, reason or (None if text and not text.isspace() else "nothing_extracted")


def _extract(html: str, extractor: BaseExtractor, sandbox: ExtractorSandbox) -> tuple[str, str | None]:
    try:
        return sandbox.process_document(html, extractor.extract) or "", None
    except TimeoutError:
        return "", "extraction_timeout"
    except Exception:  # a parser's own, a process that died, a pipe that broke
        return "", "extraction_failed"
