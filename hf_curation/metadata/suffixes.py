"""Who registered a host: public suffix and registered domain, from the public suffix list.

The list is that of the `publicsuffixlist` package: plain Python, no network, no cache on disk, a release for nearly
every change of the list. (`tldextract` fetches and caches; `publicsuffix2` ships a list of 2019.) Answers depend on
the list, so `suffix_list_version` belongs in every manifest of data that carries them. Reading it takes 60 ms, once,
when first asked.
"""

from functools import cache, lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from hf_curation.metadata.missing import Missing

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


def public_suffix(host: str, *, private: bool = True) -> str:
    """Return the public suffix of a canonical, named host: `co.uk` for `www.bbc.co.uk`.

    Args:
        host: What `canonical_host` returned; no IP address.
        private: Honour suffixes that companies registered for their customers, so that every `*.github.io` is a site
            of its own. False: only what registries run (`io`).
    """
    return _split(host, private)[0]


def registered_domain(host: str, *, private: bool = True) -> str | Missing:
    """Return the public suffix of a canonical, named host and the one label before it: `bbc.co.uk`."""
    return _split(host, private)[1] or Missing("no_registered_domain")


def suffix_list_version() -> str:
    """Return the version of the bundled list, `publicsuffixlist 1.1.2.20261023`; its end is the date."""
    return f"publicsuffixlist {version('publicsuffixlist')}"


@lru_cache(maxsize=1 << 16)
def _split(host: str, private: bool) -> tuple[str, str | None]:
    suffixes = _suffix_list(private)
    domain = suffixes.privatesuffix(host)
    suffix = domain.partition(".")[2] if domain else suffixes.publicsuffix(host)
    assert suffix, host
    return suffix, domain


@cache
def _suffix_list(private: bool) -> "PublicSuffixList":
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415

    return PublicSuffixList(only_icann=not private)
