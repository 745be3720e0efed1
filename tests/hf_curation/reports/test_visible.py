import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from hf_curation.reports.visible import clip, host_of, link_of, markup_bytes, number, percent, short_number, visible


def test_markup_is_escaped():
    assert visible("""<script>alert("1")</script> & 'x'""") == (
        "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; &#39;x&#39;"
    )


@pytest.mark.parametrize(
    "character", list("\x00\x1b\r\x7f\x85\xad\u200b\u200e\u202e\u2066\u2028\u2060\ufeff\ud800\U000e0041")
)
def test_what_cannot_be_seen_becomes_a_chip(character):
    shown = visible(f"a{character}b")
    assert character not in shown
    assert f">{ord(character):04X}</i>" in shown
    assert shown.encode("utf-8")


def test_scripts_that_need_joiners_are_left_alone():
    text = "नमस्ते क्‍ष می‌خواهم 👩‍👩‍👧\tשלום"
    assert visible(text) == text
    assert 'title="zero width non-joiner"' in visible("می‌خواهم", all_spaces=True)
    assert "00A0" in visible("a\u00a0b", all_spaces=True)


@given(st.text(max_size=60))
def test_chips_are_the_only_tags(text):
    shown = visible(text, all_spaces=True)
    assert isinstance(shown, Markup)
    assert markup_bytes(text, all_spaces=True) == len(shown.encode())
    rest = shown.replace("</i>", "")
    assert rest.count("<") == rest.count('<i class="cp" title="') == rest.count(">")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.COM:8080/a?b#c", "example.com"),
        ("http://user:secret@example.org./x", "example.org"),
        ("https://bücher.example/", "bücher.example"),
        ("http://[2001:DB8::1]:80/", "2001:db8::1"),
        ("https://example.org\\@evil.example/", None),
        ("https://exam\u200bple.org/", None),
        ("http://[not-an-address/", None),
        ("javascript:alert(1)", None),
        ("ftp://example.org/", None),
        ("//example.org/", None),
        ("https://", None),
        ("", None),
        (None, None),
    ],
)
def test_hosts_are_read_strictly(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " https://example.org/",
        "https://example.org/\nx",
        "https://google.com@evil.example/",
        'https://example.org/"onmouseover="x',
        "data:text/html,<script>",
        "https://example.org/" + "a" * 3000,
        "https://example.org/\u202egpj.exe",
        "",
        None,
    ],
)
def test_links_that_could_mislead_are_text(url):
    assert link_of(url) is None


def test_plain_addresses_are_links():
    assert link_of("https://example.org/a?b=c&d=%20#e") == "https://example.org/a?b=c&d=%20#e"
    assert link_of("http://例え.jp/パス") == "http://例え.jp/パス"


def test_figures_read_well():
    assert clip("x" * 12, 10) == "xxxxxxxxxx … 2 characters not shown"
    assert clip("short", 10) == "short"
    assert number(1234567) == "1,234,567"
    assert [percent(x) for x in (0, 0.5, 1, 0.0004, 0.99999, 0.123)] == [
        "0 %",
        "50.0 %",
        "100 %",
        "< 0.1 %",
        "> 99.9 %",
        "12.3 %",
    ]
    assert [short_number(x) for x in (0, 12, 999, 1000, 1_250_000, 3e9)] == ["0", "12", "999", "1k", "1.25M", "3G"]
