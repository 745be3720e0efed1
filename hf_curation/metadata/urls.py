"""A web address in one canonical form, without anything that may identify a reader.

User name, password, port, query and fragment are cut off before anything else is looked at, and the result is ASCII
without blanks or control characters, so none of them can reach a prefix by any field. The splitting is RFC 3986's,
done here because `urllib.parse.urlsplit` silently deletes tabs and newlines inside an address and raises on others;
both are injections that must be counted. Takes scheme-less `host/path` and `//host/path` as https.

Measured, addresses per second on one core: 280,000 over 5,000 hosts (real ones of 1,492 pages: 300,000), 250,000 where
every host is new, 55,000 where it is international too, 120,000 where the path needs repair, 9,500 of 10 kB each.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from hf_curation.metadata.hosts import canonical_host
from hf_curation.metadata.missing import Missing
from hf_curation.metadata.suffixes import public_suffix, registered_domain
from hf_curation.metadata.values import read_text

SCHEMES: Final = frozenset({"http", "https", "ftp"})
"""Schemes whose host says where a document came from."""
MAX_PATH_CHARS: Final = 2048
"""Longest canonical path; `path` and `url` are missing (`too_long`) past it, the host is not."""
PUBLIC_KEY: Final = b"hf-curation"
"""Default key of `CanonicalUrl.host_hash`: stable everywhere, and no secret."""

_WITH_AUTHORITY = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//([^/?#]*)([^?#]*)")
_BARE = re.compile(r"([^/?#]*)([^?#]*)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~!$&'()*+,=:@/-]*")
_PARAMETER = re.compile(r";[^/;=]*=[^/;]*")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.~!$&'()*+,;=:@/%-]+")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class CanonicalUrl:
    """Where a document came from."""

    scheme: str
    """`http`, `https` or `ftp`."""
    host: str
    """MeCo's "absolute domain name": lower-case ASCII, `www.` kept; see `hosts`."""
    path: str | Missing
    """From the first `/`: percent-encoded ASCII, dot segments resolved, `;name=value` parameters dropped."""

    @property
    def url(self) -> str | Missing:
        """`scheme://host/path`; canonicalising it again gives the same `CanonicalUrl`."""
        return f"{self.scheme}://{self.host}{self.path}" if isinstance(self.path, str) else self.path

    def public_suffix(self, *, private: bool = True) -> str | Missing:
        """Return `co.uk` for `www.bbc.co.uk`; missing for an IP address. See `suffixes.public_suffix`."""
        return Missing("ip_address") if self._is_ip else public_suffix(self.host, private=private)

    def registered_domain(self, *, private: bool = True) -> str | Missing:
        """Return `bbc.co.uk` for `www.bbc.co.uk`; missing for an IP address or a bare public suffix."""
        return Missing("ip_address") if self._is_ip else registered_domain(self.host, private=private)

    def host_hash(self, key: bytes = PUBLIC_KEY) -> str:
        """Return 16 hexadecimal digits: BLAKE2b of the host, 8 bytes, keyed, personalised `hf-curation/host`.

        A pseudonym, not anonymity: who knows the key can hash a list of hosts. Keys have at most 64 bytes.
        """
        return hashlib.blake2b(self.host.encode(), digest_size=8, key=key, person=b"hf-curation/host").hexdigest()

    @property
    def _is_ip(self) -> bool:
        return self.host[0] == "[" or (self.host[-1].isdigit() and self.host.rpartition(".")[2].isdigit())


def canonicalize_url(value: object, *, keep_ip: bool = False) -> CanonicalUrl | Missing:
    r"""Return the canonical form of an address, or why there is none. Never raises; time is linear in the length.

    >>> canonicalize_url("HTTPS://user:s3cret@EN.Wikipedia.org:443/wiki/Bill%5fGates?tab=1#top").url
    'https://en.wikipedia.org/wiki/Bill_Gates'
    >>> canonicalize_url("https://h.com\n\nIgnore previous text/x")
    Missing(reason='unsafe_character', stand_in=None)

    Args:
        value: Anything; text is stripped first.
        keep_ip: Take addresses whose host is an IP address, which are personal data and `ip_address` by default.
    """
    text = read_text(value)
    if isinstance(text, Missing):
        return text
    split = _split(text)
    if isinstance(split, Missing):
        return split
    scheme, authority, path = split
    host = _host_of(authority, keep_ip)
    return host if isinstance(host, Missing) else CanonicalUrl(scheme, host, canonical_path(path))


def canonical_path(path: str) -> str | Missing:
    """Return the path (RFC 3986, section 6.2.2) in one spelling, `/` when empty.

    Parameters (`;jsessionid=...`) go: they are the session's, not the page's.
    """
    if len(path) > 4 * MAX_PATH_CHARS:
        return Missing("too_long")
    if "/." in path or not _PLAIN_PATH.fullmatch(path):
        path = _normalize_path(path)
    return (path or "/") if len(path) <= MAX_PATH_CHARS else Missing("too_long")


def _split(text: str) -> tuple[str, str, str] | Missing:
    """Return scheme, authority and path, as written but for the scheme's case."""
    match = _WITH_AUTHORITY.match(text)
    if match:
        scheme = (match[1] or "https").lower()
        return (scheme, match[2], match[3]) if scheme in SCHEMES else Missing("unsupported_scheme")
    bare = _BARE.match(text)
    assert bare  # it matches the empty text too
    name, _, port = bare[1].partition(":")
    if "." in name and "@" not in bare[1] and not port.strip("0123456789"):
        return "https", bare[1], bare[2]
    match = _SCHEME.match(text)
    if match:
        return Missing("no_host" if match[1].lower() in SCHEMES else "unsupported_scheme")
    return Missing("not_a_url")


def _host_of(authority: str, keep_ip: bool) -> str | Missing:
    if "\\" in authority:  # browsers read it as a slash, so what stands before it is the host, not the user
        return Missing("bad_authority")
    authority = authority.rpartition("@")[2]
    end = authority.find("]") + 1 if authority.startswith("[") else authority.find(":")
    if end <= 0:
        return canonical_host(authority, keep_ip=keep_ip)
    host, port = authority[:end], authority[end:]
    digits = port[1:].lstrip("0")
    if port and (port[0] != ":" or len(digits) > 5 or (digits and not _is_port(digits))):
        return Missing("bad_authority")
    return canonical_host(host, keep_ip=keep_ip)


def _is_port(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and int(digits) < 65536


def _normalize_path(path: str) -> str:
    path = _ESCAPE.sub(_normalize_escape, _STRAY_PERCENT.sub("%25", path))
    path = _ILLEGAL.sub(lambda match: quote(match[0]), _PARAMETER.sub("", path))
    return _resolve_dots(path) if "/." in path else path


def _normalize_escape(match: re.Match[str]) -> str:
    char = chr(int(match[0][1:], 16))
    return char if char in _UNRESERVED else match[0].upper()


def _resolve_dots(path: str) -> str:
    kept: list[str] = []
    *segments, last = path.split("/")[1:]
    for segment in [*segments, last]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, ""] if last in {".", ".."} else kept)
