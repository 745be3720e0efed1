"""Page text as markup that shows what is there and does nothing.

Escaping is not enough for text out of a crawl: a right-to-left override in one page would turn the rest of the report
around, a NUL is a parse error in HTML, and a zero-width space that a program removed would leave an empty red box.
Characters that cannot be seen are therefore drawn as small chips that carry their code point.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from markupsafe import Markup

# Controls but tab and newline; soft hyphen; bidi marks, embeddings, overrides and isolates; zero width space; line and
# paragraph separators; word joiner and the invisible operators; BOM; interlinear marks; surrogates; tags. Not the
# joiners U+200C and U+200D: Persian, Hindi and emoji families are spelled with them.
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff"
)
_UNSEEN_RE = re.compile(f"[{_UNSEEN}]")
_UNSEEN_OR_JOINER_RE = re.compile(f"[{_UNSEEN}\u200c\u200d\ufe00-\ufe0f\u00a0\u2000-\u200a\u202f]")
_PLAIN_HOST_RE = re.compile(r"[^\s/?#@:\\<>\"'\[\]]{1,253}")
MAX_LINK = 1000


@lru_cache(maxsize=4096)
def _chip(character: str) -> str:
    import unicodedata  # noqa: PLC0415 - only pages with such characters need the tables

    name = unicodedata.name(character, "control character" if ord(character) < 0xA0 else "no name").lower()
    return f'<i class="cp" title="{name}">{ord(character):04X}</i>'


def visible(text: object, *, all_spaces: bool = False) -> "Markup":
    """Return `text` escaped for HTML, with a chip for every character that cannot be seen.

    Args:
        text: anything; `str` of it is shown.
        all_spaces: also draw joiners, variation selectors and every space but U+0020; for strings that a program
            replaced, where the difference may be just that.
    """
    from markupsafe import Markup, escape  # noqa: PLC0415 - comes with the extra `report`

    pattern = _UNSEEN_OR_JOINER_RE if all_spaces else _UNSEEN_RE
    # Chips hold only hexadecimal digits and Unicode names; everything else went through `escape`.
    return Markup(pattern.sub(lambda match: _chip(match[0]), str(escape(str(text)))))  # noqa: S704


def markup_bytes(text: str, *, all_spaces: bool = False) -> int:
    """Return how many bytes of HTML `visible(text)` takes."""
    return len(visible(text, all_spaces=all_spaces).encode("utf-8"))


def host_of(url: str | None) -> str | None:
    """Return the host of an http(s) address, in lower case, without user, password and port; None when there is none.

    >>> host_of("https://user:secret@Example.com:8080/path")
    'example.com'
    >>> host_of("javascript:alert(1)") is None
    True
    """
    try:
        parts = urlsplit(url or "")
        host = parts.hostname
    except ValueError:  # "http://[not-an-address"
        return None
    # A browser reads a backslash as a slash: what stands before it is the host there, and after it here.
    if parts.scheme not in {"http", "https"} or not host or "\\" in parts.netloc:
        return None
    host = host.rstrip(".")
    is_name = _PLAIN_HOST_RE.fullmatch(host) and not _UNSEEN_RE.search(host)
    # An IPv6 address is the one host with colons in it, and only inside brackets.
    is_address = "[" in parts.netloc and re.fullmatch(r"[0-9a-f:.]{2,45}", host)
    return host if is_name or is_address else None


def link_of(url: str | None) -> str | None:
    """Return `url` when a click on it leads where it says, else None (it is then shown as plain text).

    Only http and https, no white space or control characters, nobody's name or password before the host.
    """
    if not url or len(url) > MAX_LINK or re.search(f'[\\s<>"{_UNSEEN}]', url) or host_of(url) is None:
        return None
    return None if "@" in urlsplit(url).netloc else url


def clip(text: str, limit: int) -> str:
    """Return `text`, or its first `limit` characters and how many more there are.

    >>> clip("abcdef", 4)
    'abcd … 2 characters not shown'
    """
    if len(text) <= limit:
        return text
    return f"{text[:limit]} … {len(text) - limit:,} characters not shown"


def number(value: float, digits: int = 0) -> str:
    """Return `value` with thousands separators.

    >>> number(1234567)
    '1,234,567'
    """
    return f"{value:,.{digits}f}"


def percent(share: float, digits: int = 1) -> str:
    """Return a share as a percentage; what is neither nothing nor everything never reads as such.

    >>> percent(0.5), percent(0.00001), percent(0.99999), percent(1)
    ('50.0 %', '< 0.1 %', '> 99.9 %', '100 %')
    """
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    step = 10.0 ** -(digits + 2)
    if 0 < share < step / 2:
        return f"< {step * 100:.{digits}f} %"
    if 1 - step / 2 < share < 1:
        return f"> {100 - step * 100:.{digits}f} %"
    return f"{share * 100:.{digits}f} %"


def short_number(value: float) -> str:
    """Return `value` to three figures or fewer, for axes.

    >>> short_number(950), short_number(1500), short_number(2_000_000)
    ('950', '1.5k', '2M')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def filters() -> dict[str, Any]:
    """Return what templates call by name."""
    return {"visible": visible, "clip": clip, "number": number, "percent": percent, "short": short_number}
