import re

import pytest

from hf_curation.metadata import Missing, canonicalize_url, suffix_list_version

DOMAINS = [
    ("https://www.bbc.co.uk/x", "co.uk", "bbc.co.uk"),
    ("https://en.wikipedia.org", "org", "wikipedia.org"),
    ("https://a.b.c.kobe.jp", "c.kobe.jp", "b.c.kobe.jp"),  # wildcard rule
    ("https://www.city.kobe.jp", "kobe.jp", "city.kobe.jp"),  # its exception
    ("https://x.me.github.io", "github.io", "me.github.io"),
    ("https://github.io", "github.io", Missing("no_registered_domain")),
    ("https://co.uk", "co.uk", Missing("no_registered_domain")),
    ("https://食狮.公司.cn", "xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"),
    ("https://a.b.nosuchsuffix", "nosuchsuffix", "b.nosuchsuffix"),  # the list's implicit rule `*`
    ("https://a_b.tumblr.com", "com", "tumblr.com"),
]


@pytest.mark.parametrize(("address", "suffix", "domain"), DOMAINS)
def test_registered_domain(address, suffix, domain):
    url = canonicalize_url(address)
    assert url.public_suffix() == suffix
    assert url.registered_domain() == domain


def test_private_suffixes_can_be_ignored():
    url = canonicalize_url("https://x.me.github.io")
    assert url.public_suffix(private=False) == "io"
    assert url.registered_domain(private=False) == "github.io"


def test_the_version_names_the_date_of_the_list():
    assert re.fullmatch(r"publicsuffixlist [0-9.]+\.20[0-9]{6}", suffix_list_version())
