"""Fields that are not addresses: quality buckets, dates and language tags, each in one spelling.

Fine labels help more than coarse ones (https://huggingface.co/papers/2511.21613: `floor(10 * score)` against coarse
quality classes), and one spelling per meaning keeps a label's few tokens from being split over variants of it.
"""

import math
import re
from datetime import date
from numbers import Real

from hf_curation.metadata.missing import Missing
from hf_curation.metadata.values import is_null, read_text

_ISO_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:[T ].*)?)?)?")
_CRAWL_STAMP = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[0-9]{6})?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,4}")

DATE_PARTS: dict[str, int] = {"year": 1, "month": 2, "day": 3}
"""Part -> how many of year, month, day it shows."""


def bucket_score(value: object, *, minimum: float = 0.0, maximum: float = 1.0, buckets: int = 10) -> str | Missing:
    """Return `floor(buckets * share)`, the share of the way from `minimum` to `maximum`: `0` to `10` by default.

    With the defaults this is `floor(10 * score)` in double precision, so a perfect score has a bucket of its own, and
    a 0.7 stored as 32-bit float (0.69999999) is a 6. Text is refused: a column of numbers read as text is a mistake.

    Raises:
        ValueError: the range is empty or not finite, or there is no bucket. Never because of `value`.
    """
    if not 0 < maximum - minimum < math.inf or buckets < 1:
        raise ValueError(f"need min < max and buckets >= 1, got min {minimum}, max {maximum}, buckets {buckets}")
    if is_null(value):
        return Missing("absent")
    if isinstance(value, bool) or not isinstance(value, Real):
        return Missing("wrong_type")
    score = float(value)
    if not minimum <= score <= maximum:
        return Missing("out_of_range")
    return str(math.floor(buckets * ((score - minimum) / (maximum - minimum))))


def format_date(value: object, *, part: str = "month") -> str | Missing:
    """Return the `year` (`2013`), `month` (`2013-05`) or `day` (`2013-05-18`) of a date, in its own time zone.

    Takes `date` and `datetime` objects, ISO 8601 text (`2013-05-18T05:48:54Z`, `2013-05`, `2013`) and crawl stamps
    (`20130518054854`). A date coarser than `part` is missing, not guessed.
    """
    if isinstance(value, date) and not is_null(value):
        parts = [f"{value.year:04}", f"{value.month:02}", f"{value.day:02}"]
    else:
        text = read_text(value)
        if isinstance(text, Missing):
            return text
        match = _ISO_DATE.fullmatch(text) or _CRAWL_STAMP.fullmatch(text)
        parts = [part for part in match.groups() if part] if match else []
    shown = DATE_PARTS[part]
    if len(parts) < shown or not _is_in_calendar(parts):
        return Missing("bad_date")
    return "-".join(parts[:shown])


def normalize_language(value: object) -> str | Missing:
    """Return a language tag with `-` and the usual case of its parts: `EN_us` is `en-US`, `eng_latn` is `eng-Latn`.

    Only the spelling is made one: `en` and `eng` stay two labels.
    """
    text = read_text(value)
    if isinstance(text, Missing):
        return text
    if not _LANGUAGE.fullmatch(text):
        return Missing("bad_language")
    primary, *rest = re.split("[-_]", text.lower())
    return "-".join([primary, *({2: str.upper, 4: str.title}.get(len(part), str)(part) for part in rest)])


def _is_in_calendar(parts: list[str]) -> bool:
    try:
        date(*(int(part) for part in [*parts, "01", "01"][:3]))
    except ValueError:
        return False
    return True
