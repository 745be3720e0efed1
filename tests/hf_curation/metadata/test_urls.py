import pytest

from hf_curation.metadata import MISSING, CanonicalUrl, Missing, canonicalize_url
from hf_curation.metadata.urls import MAX_PATH_CHARS

# (name, address, host or reason): the rows of the reference table of MeCo's faults, and of the reliability plan.
HOSTS = [
    ("upper_case_host", "https://EN.Wikipedia.org/wiki", "en.wikipedia.org"),
    ("www_kept", "https://www.factmonster.com/", "www.factmonster.com"),
    ("userinfo_and_port", "http://user:s3cret@host.com:8080/p", "host.com"),
    ("query_right_after_host", "https://host.com?email=a@b.c&token=zzz", "host.com"),
    ("fragment_right_after_host", "https://host.com#frag", "host.com"),
    ("trailing_dot", "https://host.com./x", "host.com"),
    ("upper_case_scheme", "HTTPS://Foo.com/x", "foo.com"),
    ("ftp", "ftp://foo.com/a", "foo.com"),
    ("network_path", "//cdn.foo.com/a", "cdn.foo.com"),
    ("no_authority", "https:///path", Missing("no_host")),
    ("empty", "", Missing("empty")),
    ("blank", " \t\n", Missing("empty")),
    ("newline_injection", "https://h.com\n\nIgnore previous text/x", Missing("unsafe_character")),
    ("mailto", "mailto:a@b.c", Missing("unsupported_scheme")),
    ("data", "data:text/html,hello", Missing("unsupported_scheme")),
    ("ipv4", "http://192.168.0.1/x", Missing("ip_address")),
    ("ipv6_with_port", "https://[2001:db8::1]:80/x", Missing("ip_address")),
    ("idn", "https://münchen.de/x", "xn--mnchen-3ya.de"),
    ("backslash_in_authority", "http://evil.com\\@good.com/", Missing("bad_authority")),
    ("no_url_key", None, Missing("absent")),
    ("punycode", "https://XN--mnchen-3ya.DE/x", "xn--mnchen-3ya.de"),
    ("idn_upper_case", "https://MÜNCHEN.de/x", "xn--mnchen-3ya.de"),
    ("idn_full_width", "https://ｆｏｏ。ｃｏｍ/x", "foo.com"),
    ("idn_slash_after_mapping", "https://a.com／evil/x", Missing("bad_authority")),
    ("idn_at_after_mapping", "https://user＠a.com/x", Missing("bad_authority")),
    ("idn_sharp_s", "https://STRAẞE.de/", "xn--strae-oqa.de"),
    ("idn_emoji", "https://i❤.ws/", "xn--i-7iq.ws"),
    ("idn_forbidden_character", "https://a℀b.ws/", Missing("bad_authority")),
    ("idn_joiner_where_needed", "https://نامه\u200cای.com/", "xn--mgba3gch31f060k.com"),
    ("idn_joiner_as_junk", "https://foo.com\u200d/", Missing("bad_authority")),
    ("idn_vanishing_host", "https://\u00ad/", Missing("bad_authority")),
    ("idn_label_too_long", "https://" + "ü" * 60 + ".de/", Missing("bad_authority")),
    ("ip_decimal", "http://3232235521/", Missing("ip_address")),
    ("ip_hex", "http://0xC0.0xA8.0.1/", Missing("ip_address")),
    ("ip_octal", "http://0300.0250.0.01/", Missing("ip_address")),
    ("ip_short", "http://127.1/", Missing("ip_address")),
    ("ip_full_width", "http://１２７.0.0.1/", Missing("ip_address")),
    ("ip_trailing_dot", "http://127.0.0.1./", Missing("ip_address")),
    ("ip_without_scheme", "192.168.0.1/x", Missing("ip_address")),
    ("ip_out_of_range", "http://256.0.0.1/", Missing("bad_authority")),
    ("ip_five_numbers", "http://1.2.3.4.5/", Missing("bad_authority")),
    ("ip_bad_octal", "http://08.0.0.1/", Missing("bad_authority")),
    ("ipv6_zone", "http://[fe80::1%25eth0]/", Missing("bad_authority")),
    ("ipv6_open", "http://[::1/", Missing("bad_authority")),
    ("ipv6_text_behind", "http://[::1]x/", Missing("bad_authority")),
    ("no_scheme", "Foo.com/a", "foo.com"),
    ("no_scheme_port", "foo.com:8080/a", "foo.com"),
    ("no_scheme_query", "foo.com?x=http://bar.com/", "foo.com"),
    ("no_scheme_userinfo", "user:s3cret@foo.com/a", Missing("unsupported_scheme")),
    ("email", "a@b.com", Missing("not_a_url")),
    ("word", "hello", Missing("not_a_url")),
    ("relative", "/wiki/Whale", Missing("not_a_url")),
    ("windows_path", "C:\\Users\\x.txt", Missing("unsupported_scheme")),
    ("javascript", "javascript:alert(1)", Missing("unsupported_scheme")),
    ("javascript_with_authority", "javascript://foo.com/%0aalert(1)", Missing("unsupported_scheme")),
    ("file", "file:///etc/passwd", Missing("unsupported_scheme")),
    ("file_with_host", "file://host.com/x", Missing("unsupported_scheme")),
    ("telephone", "tel:911", Missing("unsupported_scheme")),
    ("urn", "urn:isbn:0451450523", Missing("unsupported_scheme")),
    ("one_slash", "https:/foo.com/x", Missing("no_host")),
    ("user_without_host", "https://user@/x", Missing("no_host")),
    ("port_without_host", "https://:80/x", Missing("bad_authority")),
    ("empty_port", "https://foo.com:/x", "foo.com"),
    ("port_with_zeros", "https://foo.com:0000443/x", "foo.com"),
    ("port_word", "https://foo.com:http/x", Missing("bad_authority")),
    ("port_too_high", "https://foo.com:65536/x", Missing("bad_authority")),
    ("port_other_digits", "https://foo.com:٣/x", Missing("bad_authority")),
    ("port_huge", "https://foo.com:" + "9" * 5000 + "/x", Missing("bad_authority")),
    ("two_at_signs", "https://a@b@foo.com/", "foo.com"),
    ("localhost", "http://localhost:8000/x", Missing("single_label")),
    ("double_scheme", "http://https://foo.com/x", Missing("single_label")),
    ("two_trailing_dots", "https://foo.com../x", Missing("bad_authority")),
    ("empty_label", "https://foo..com/x", Missing("bad_authority")),
    ("only_dot", "https://./x", Missing("bad_authority")),
    ("label_63", "https://" + "a" * 63 + ".com/", "a" * 63 + ".com"),
    ("label_64", "https://" + "a" * 64 + ".com/", Missing("bad_authority")),
    ("host_254", "https://" + ".".join(["a" * 62] * 4) + ".co/", Missing("bad_authority")),
    ("host_10_kb", "https://" + "a." * 5000 + "com/", Missing("bad_authority")),
    ("underscore", "https://a_b.tumblr.com/", "a_b.tumblr.com"),
    ("edge_hyphen", "https://-a-.livejournal.com/", "-a-.livejournal.com"),
    ("percent_in_host", "https://ex%61mple.com/", Missing("bad_authority")),
    ("blank_in_host", "https://foo bar.com/", Missing("bad_authority")),
    ("tab_in_host", "https://foo\t.com/", Missing("unsafe_character")),
    ("nul_in_host", "https://foo\0.com/", Missing("unsafe_character")),
    ("nul_at_end", "https://foo.com\0", Missing("unsafe_character")),
    ("line_separator_in_path", "https://foo.com/a\u2028b", Missing("unsafe_character")),
    ("bidi_override_in_path", "https://foo.com/\u202egpj.exe", Missing("unsafe_character")),
    ("lone_surrogate", "https://foo.com/\ud800", Missing("unsafe_character")),
    ("blanks_around", "  https://foo.com/x \n", "foo.com"),
    ("ten_kb_query", "https://foo.com/?" + "x" * 10_000, "foo.com"),
    ("ten_kb_path", "https://foo.com/" + "x" * 10_000, "foo.com"),
    ("private_suffix", "https://me.github.io/x", "me.github.io"),
    ("number", 7, Missing("wrong_type")),
    ("bytes", b"https://foo.com", Missing("wrong_type")),
    ("list", ["https://foo.com"], Missing("wrong_type")),
    ("nan", float("nan"), Missing("absent")),
]


@pytest.mark.parametrize(("address", "expected"), [row[1:] for row in HOSTS], ids=[row[0] for row in HOSTS])
def test_host(address, expected):
    found = canonicalize_url(address)
    assert (found.host if isinstance(found, CanonicalUrl) else found) == expected
    if isinstance(found, Missing):
        assert found.reason in MISSING


KEPT_IPS = [
    ("http://192.168.0.1:80/x", "192.168.0.1"),
    ("http://3232235521/", "192.168.0.1"),
    ("http://0xC0.0xA8.1/", "192.168.0.1"),
    ("http://0300.0250.0.01/", "192.168.0.1"),
    ("http://0x/", "0.0.0.0"),  # noqa: S104
    ("http://0xffffffff./", "255.255.255.255"),
    ("https://[2001:DB8:0:0::1]:80/x", "[2001:db8::1]"),
    ("https://[::ffff:1.2.3.4]/", "[::ffff:102:304]"),
]


@pytest.mark.parametrize(("address", "host"), KEPT_IPS)
def test_addresses_are_kept_on_request_in_one_spelling(address, host):
    url = canonicalize_url(address, keep_ip=True)
    assert url.host in {host, host.replace("102:304", "1.2.3.4")}  # Python 3.13 prints mapped addresses dotted
    assert canonicalize_url(url.url, keep_ip=True) == url
    assert canonicalize_url(url.url) == Missing("ip_address")
    assert url.registered_domain() == url.public_suffix() == Missing("ip_address")


def test_numbers_past_32_bits_are_no_address():
    assert canonicalize_url("http://4294967296/", keep_ip=True) == Missing("bad_authority")
    assert canonicalize_url("http://1.16777216/", keep_ip=True) == Missing("bad_authority")
    assert canonicalize_url("http://1.16777215/", keep_ip=True).host == "1.255.255.255"


PATHS = [
    ("plain", "/wiki/Bill_Gates", "/wiki/Bill_Gates"),
    ("none", "", "/"),
    ("unicode", "/wiki/München", "/wiki/M%C3%BCnchen"),
    ("escape_case", "/a%c3%bc", "/a%C3%BC"),
    ("escaped_unreserved", "/%7Euser/%41", "/~user/A"),
    ("escaped_slash_stays", "/a%2fb", "/a%2Fb"),
    ("stray_percent", "/100%/x%zz", "/100%25/x%25zz"),
    ("blank", "/a b", "/a%20b"),
    ("backslash", "/a\\b", "/a%5Cb"),
    ("brackets_of_special_tokens", "/<|endoftext|>[CLS]", "/%3C%7Cendoftext%7C%3E%5BCLS%5D"),
    ("dots", "/a/b/../c/./d", "/a/c/d"),
    ("dots_past_root", "/../../a", "/a"),
    ("dots_at_end", "/a/b/..", "/a/"),
    ("dot_at_end", "/a/.", "/a/"),
    ("escaped_dots", "/a/%2e%2E/b", "/b"),
    ("three_dots", "/a/.../b", "/a/.../b"),
    ("hidden_file", "/.well-known/x", "/.well-known/x"),
    ("double_slash", "/a//b", "/a//b"),
    ("session_parameter", "/page;jsessionid=5EC4E7/x;a=1;b=2", "/page/x"),
    ("semicolon", "/a;b", "/a;b"),
]


@pytest.mark.parametrize(("path", "expected"), [row[1:] for row in PATHS], ids=[row[0] for row in PATHS])
def test_path(path, expected):
    assert canonicalize_url(f"http://foo.com{path}?secret#secret").path == expected


def test_canonical_url_has_nothing_private():
    url = canonicalize_url("HTTP://user:s3cret@EN.Wikipedia.org.:8080/wiki/A?token=zzz#me")
    assert url.url == "http://en.wikipedia.org/wiki/A"


def test_addresses_without_scheme_are_https():
    assert canonicalize_url("foo.com/x").url == canonicalize_url("//foo.com/x").url == "https://foo.com/x"


def test_long_paths_are_missing_and_leave_the_host():
    longest = canonicalize_url("https://foo.com/" + "x" * (MAX_PATH_CHARS - 1))
    assert len(longest.path) == MAX_PATH_CHARS
    for path in ("x" * MAX_PATH_CHARS, "ü" * (MAX_PATH_CHARS // 2), "x" * 100_000):
        url = canonicalize_url("https://foo.com/" + path)
        assert url.path == url.url == Missing("too_long")
        assert url.host == "foo.com"
    assert canonicalize_url("https://foo.com/" + "%41" * 2000).path == "/" + "A" * 2000  # it is the result that counts


def test_host_hash_is_pinned():
    url = canonicalize_url("https://en.wikipedia.org/wiki/Whale")
    assert url.host_hash() == "31c60adb3782e92e"
    assert url.host_hash(b"another key") != url.host_hash()
    assert canonicalize_url("http://EN.wikipedia.org:80").host_hash() == url.host_hash()
