"""One spelling for the host of an address, or a reason why it has none.

ASCII, lower case, no trailing dot. Internationalised names take their ASCII form, `münchen.de` is `xn--mnchen-3ya.de`:
that is how Common Crawl spells them, and it leaves no look-alikes, invisible characters or second spellings in a
prefix. They are mapped by UTS 46 (non-transitional) and not held to IDNA 2008, as in browsers, because sites that it
forbids exist (`i❤.ws`). Underscores and edge hyphens are allowed for the same reason (`a_b.tumblr.com`). A name whose
last label is a number is an IP address, also when octal, hexadecimal or one big number.

Most documents share few hosts, so answers are kept for the last 65,536 spellings; only hosts that could be valid (at
most 255 characters) reach that cache, which bounds its memory.
"""

import ipaddress
import re
from functools import lru_cache

from hf_curation.metadata.missing import Missing

_MAX_HOST_CHARS = 253
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_JOINER = re.compile("[\u200c\u200d]")
_NUMBER = re.compile("[0-9]+|0x[0-9a-f]*")
_OCTAL, _DECIMAL, _HEX = re.compile("0[0-7]*"), re.compile("[1-9][0-9]*"), re.compile("0x[0-9a-f]*")


def canonical_host(host: str, *, keep_ip: bool = False) -> str | Missing:
    """Return the canonical form of `host` as it stands in an address: no user, no port, IPv6 in brackets.

    Args:
        host: Any text.
        keep_ip: Return IP addresses (`192.168.0.1`, `[2001:db8::1]`) instead of `Missing("ip_address")`.
    """
    if not host or len(host) > _MAX_HOST_CHARS + 2:
        return Missing("bad_authority" if host else "no_host")
    return _canonical_host(host, keep_ip)


@lru_cache(maxsize=1 << 16)
def _canonical_host(host: str, keep_ip: bool) -> str | Missing:
    if host.startswith("["):
        address = _parse_ipv6(host)
    else:
        name = (host.lower() if host.isascii() else _to_ascii(host)).removesuffix(".")
        if len(name) > _MAX_HOST_CHARS or not _NAME.fullmatch(name):
            return Missing("bad_authority")
        if not _NUMBER.fullmatch(name.rpartition(".")[2]):
            return name if "." in name else Missing("single_label")
        address = _parse_ipv4(name)
    if address is None:
        return Missing("bad_authority")
    return address if keep_ip else Missing("ip_address")


def _to_ascii(host: str) -> str:
    """Return the ASCII form of an internationalised name; the empty string when a character is forbidden there."""
    import idna  # noqa: PLC0415 (only the few hosts that are not ASCII need its tables)

    try:
        labels = idna.uts46_remap(host, std3_rules=False).split(".")
        joiners = [(label, match.start()) for label in labels for match in _JOINER.finditer(label)]
        if not all(idna.valid_contextj(label, place) for label, place in joiners):
            return ""  # an invisible character that no script needs there, such as junk behind a copied address
    except ValueError:  # idna's errors, and its word for a joiner beside an unassigned character
        return ""
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)


def _parse_ipv4(name: str) -> str | None:
    """Return dotted decimal for one to four numbers in any base, the last one filling the remaining bytes."""
    parts = [_parse_number(part) for part in name.split(".")]
    numbers = [part for part in parts if part is not None]
    if len(numbers) != len(parts) or len(parts) > 4:
        return None
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (4 - len(leading)):
        return None
    value = last + sum(number << 8 * (3 - place) for place, number in enumerate(leading))
    return str(ipaddress.IPv4Address(value))


def _parse_number(text: str) -> int | None:
    if _HEX.fullmatch(text):
        return int(text[2:] or "0", 16)
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    return int(text) if _DECIMAL.fullmatch(text) else None


def _parse_ipv6(host: str) -> str | None:
    try:  # a zone (`%eth0`) names somebody's network card
        return None if "%" in host or host[-1] != "]" else f"[{ipaddress.IPv6Address(host[1:-1])}]"
    except ValueError:
        return None
