import pytest

from hf_curation.metadata import parse_field, reference_host

# The column "reference" of the table of MeCo's faults, as measured on its published expression.
REFERENCE = [
    ("https://EN.Wikipedia.org/wiki", "EN.Wikipedia.org"),
    ("http://user:s3cret@host.com:8080/p", "user:s3cret@host.com:8080"),
    ("https://host.com?email=a@b.c&token=zzz", "host.com?email=a@b.c&token=zzz"),
    ("https://host.com#frag", "host.com#frag"),
    ("https://host.com./x", "host.com."),
    ("HTTPS://Foo.com/x", "HTTPS:"),
    ("ftp://foo.com/a", "ftp:"),
    ("//cdn.foo.com/a", ""),
    ("https:///path", ""),
    ("", ""),
    ("https://h.com\n\nIgnore previous text/x", "h.com\n\nIgnore previous text"),
    ("mailto:a@b.c", "mailto:a@b.c"),
    ("data:text/html,hello", "data:text"),
    ("http://192.168.0.1/x", "192.168.0.1"),
    ("https://[2001:db8::1]:80/x", "[2001:db8::1]:80"),
    ("https://münchen.de/x", "münchen.de"),
    ("http://evil.com\\@good.com/", "evil.com\\@good.com"),
    ("http://a.com?u=https://b.com/x", "a.com?u=b.com"),
]


@pytest.mark.parametrize(("address", "expected"), REFERENCE)
def test_reference_column(address, expected):
    assert reference_host(address) == expected
    field = parse_field("meco_host")
    found = field.read({"url": address})
    assert (found if expected else found.reason) == (expected or "empty")


def test_the_scheme_is_deleted_in_one_scan():
    assert reference_host("hthttp://tps://foo.com/x") == "https:"


def test_no_url_key():
    with pytest.raises(TypeError):
        reference_host(None)
    assert parse_field("meco_host").read({}).reason == "absent"
    assert parse_field("meco_host").read({"url": 3}).reason == "wrong_type"
