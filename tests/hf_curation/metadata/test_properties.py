import re
import subprocess
import sys
import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_curation.metadata import MISSING, CanonicalUrl, Missing, canonicalize_url, parse_template
from hf_curation.metadata.hosts import _canonical_host
from hf_curation.metadata.urls import _PLAIN_PATH, _normalize_path, canonical_path

HOST = re.compile(r"[a-z0-9._-]+")
PATH = re.compile(r"/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*")
CANARY = "zq7canary"

# Strings that look like addresses: pieces that mean something to a parser, in any order.
PIECES = st.sampled_from(
    [
        *["http:", "HTTPS:", "ftp:", "//", "/", "\\", "@", ":", "?", "#", ".", "..", "/./", "/../", "%", "%2e", "%41"],
        *["[", "]", "::1", "0x7f", "127.0.0.1", "0300", "foo.com", "co.uk", "xn--", "münchen", "。", "／", "ß", "٣"],
        *[
            ";a=b",
            ";",
            "=",
            " ",
            "\t",
            "\n",
            "\0",
            "\ud800",
            "\u202e",
            "\u200d",
            "❤",
            "a" * 64,
            "999999",
            "ſ",
            "℀",
            "İ",
        ],
    ]
)
ADDRESSES = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.lists(PIECES, max_size=12).map("".join),
    st.lists(PIECES, max_size=8).map(lambda pieces: "https://" + "".join(pieces)),
    st.tuples(st.just("https://foo.com/"), st.text()).map("".join),
)
WORDS = st.text(st.sampled_from("abz09._~-%!$&'()*+,;="), max_size=8)


@given(ADDRESSES, st.booleans())
@settings(max_examples=1500, deadline=None)
@example("http://[", False)
@example("http://\u00ad.com", False)
def test_any_string_has_one_canonical_form_or_one_reason(text, keep_ip):
    url = canonicalize_url(text, keep_ip=keep_ip)
    if isinstance(url, Missing):
        assert url.reason in MISSING
        return
    assert HOST.fullmatch(url.host) or (keep_ip and re.fullmatch(r"\[[0-9a-f:.]+\]", url.host))
    assert len(url.host) <= 253
    assert canonicalize_url(url.host, keep_ip=keep_ip).host == url.host or url.host.startswith("[")
    if isinstance(url.path, str):
        assert PATH.fullmatch(url.path)
        assert canonicalize_url(url.url, keep_ip=keep_ip) == url
    for value in (url.registered_domain(), url.public_suffix()):
        assert isinstance(value, Missing) or url.host.endswith(value)


@given(WORDS, WORDS, st.integers(0, 65535), WORDS, WORDS)
@settings(max_examples=300, deadline=None)
def test_user_port_query_and_fragment_reach_no_field(user, password, port, query, fragment):
    secret = CANARY
    address = f"https://{user}{secret}:{password}{secret}@foo.com:{port}/a;{secret}={secret}/b?{query}{secret}#{fragment}{secret}"
    url = canonicalize_url(address)
    assert url == CanonicalUrl("https", "foo.com", "/a/b")
    everything = parse_template("{host} {domain} {suffix} {path} {url} {host_hash}").render({"url": address})
    assert not everything.missing
    assert secret not in everything.text
    assert not re.search("[0-9]", everything.text.replace(url.host_hash(), ""))  # the port


@given(st.text(st.characters(exclude_categories=()), max_size=30))
@settings(max_examples=500, deadline=None)
def test_no_value_adds_a_line_to_a_prefix(value):
    for kind in ("host", "url", "topic", "date", "language"):
        prefix = parse_template(f"A: {{{kind}:c}}\n\n", on_missing="unknown").render({"c": value})
        assert re.fullmatch(r"A: [^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+\n\n", prefix.text)
        assert len(prefix.text.splitlines()) == 2


@given(st.text(st.sampled_from("ab.%~/;=2eE"), max_size=20).map("/".__add__))
@settings(max_examples=500, deadline=None)
def test_the_fast_path_of_plain_paths_changes_nothing(path):
    slow = _normalize_path(path)
    assert canonical_path(path) == slow
    if _PLAIN_PATH.fullmatch(path) and "/." not in path:
        assert slow == path


@given(st.text(st.sampled_from("ab01x.-_[]:ü%"), min_size=1, max_size=20), st.booleans())
@settings(max_examples=500, deadline=None)
def test_the_cache_of_hosts_changes_nothing(host, keep_ip):
    assert _canonical_host(host, keep_ip) == _canonical_host.__wrapped__(host, keep_ip)


def seconds(text: str) -> float:
    best = 1e9
    for _ in range(3):
        start = time.process_time()
        canonicalize_url(text)
        best = min(best, time.process_time() - start)
    return best


def test_time_is_linear():
    # Quadratic work on 400,000 characters takes minutes; linear work takes under 0.1 s.
    shapes = [
        "a.",
        "@",
        ":",
        "[",
        "]",
        ";",
        ";a",
        ";a=",
        "=",
        "%",
        "%2",
        "%41",
        "/.",
        "/..",
        "/",
        "ü",
        "ü.",
        "a",
        "//",
        "1.",
    ]
    for piece in shapes:
        body = piece * (400_000 // len(piece))
        for address in (body, "https://" + body, "https://foo.com/" + body, "https://foo.com?" + body, body + "@:x"):
            assert seconds(address) < 1.5, (piece, address[:20])


def test_importing_is_light():
    code = (
        "import sys, hf_curation.metadata as m; m.parse_template().render({'url': 'https://a.com'});"
        "heavy = {'torch', 'transformers', 'datatrove', 'pyarrow', 'numpy', 'idna', 'publicsuffixlist'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
