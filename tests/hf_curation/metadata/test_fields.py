import pickle

import pytest

from hf_curation.metadata import KINDS, FieldKind, Missing, parse_field, register_kind

DOCUMENT = {
    "url": "https://user:pw@WWW.BBC.co.uk:80/News/1?q=1",
    "warc_url": "http://10.0.0.1/x",
    "score": 0.73,
    "edu_score": 2.6,
    "date": "2013-05-18T05:48:54Z",
    "language": "EN_gb",
    "topic": "Politics",
    "source": "common-crawl",
    "author": "A. Writer",
}

VALUES = [
    ("host", "www.bbc.co.uk"),
    ("host:url", "www.bbc.co.uk"),
    ("host:warc_url", Missing("ip_address")),
    ("host:warc_url,ip=keep", "10.0.0.1"),
    ("path:warc_url,ip=keep", "/x"),
    ("domain", "bbc.co.uk"),
    ("domain,private=no", "bbc.co.uk"),
    ("domain:warc_url", Missing("ip_address")),
    ("suffix", "co.uk"),
    ("path", "/News/1"),
    ("url", "https://www.bbc.co.uk/News/1"),
    ("quality", "7"),
    ("quality:edu_score,max=5", "5"),
    ("quality:edu_score, min=1, max=5, buckets=4", "1"),
    ("date", "2013-05"),
    ("date,part=year", "2013"),
    ("language", "en-GB"),
    ("topic", "Politics"),
    ("source", "common-crawl"),
    ("column:author", "A. Writer"),
    ("column:nobody", Missing("absent")),
]


@pytest.mark.parametrize(("spec", "expected"), VALUES)
def test_read(spec, expected):
    field = parse_field(spec)
    assert field.read(DOCUMENT) == expected
    assert pickle.loads(pickle.dumps(field)).read(DOCUMENT) == expected  # noqa: S301 (our own bytes)
    assert parse_field(field.spec).read(DOCUMENT) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, "", "a\nb", 3, 2.5, float("nan"), [], {}, b"x", "\ud800", object()])
def test_no_kind_raises_on_any_value(kind, value):
    found = parse_field(f"{kind}:c").read({"c": value})
    assert isinstance(found, str | Missing)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hosst", "did you mean 'host'"),
        ("author", r"'author': fields are .*written \{column:author\}"),
        ("", "unknown field ''"),
        ("column", r"names no column: write \{column:COLUMN\}"),
        ("quality:max=5", r"write \{quality,max=5\} or \{quality:COLUMN,max=5\}"),
        ("host,ip=yes", "option 'ip': choose from keep, missing"),
        ("host,ip=keep,ip=keep", "sets 'ip' twice"),
        ("host,max=3", "has no option 'max'; it has: ip"),
        ("topic,max=3", "it has: none"),
        ("quality,buckets=0", "need min < max and buckets >= 1, got min 0.0, max 1.0, buckets 0"),
        ("quality,max=high", "could not convert"),
        ("quality,max=nan", "need min < max"),
        ("quality,min=5", "need min < max .* got min 5.0, max 1.0"),
        ("date,part=hour", "choose from year, month, day"),
        ("host_hash,key_env=NO_SUCH_KEY", "'NO_SUCH_KEY' must hold a key"),
    ],
)
def test_mistakes(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_field(spec)


def test_the_hash_key_comes_from_the_environment_and_stays_there(monkeypatch):
    monkeypatch.setenv("HOST_KEY", "s3cret")
    field = parse_field("host_hash,key_env=HOST_KEY")
    hashed = field.read(DOCUMENT)
    assert hashed != parse_field("host_hash").read(DOCUMENT)
    assert len(hashed) == 16
    assert b"s3cret" not in pickle.dumps(field)
    monkeypatch.setenv("HOST_KEY", "another")
    assert field.read(DOCUMENT) != hashed


def shout(value: object) -> str | Missing:
    return value.upper() if isinstance(value, str) else Missing("wrong_type")


def test_kinds_can_be_added(monkeypatch):
    monkeypatch.setitem(KINDS, "shout", None)  # so that it is taken out again after the test
    del KINDS["shout"]
    register_kind("shout", FieldKind(extract=shout, column="topic", summary="louder"))
    assert parse_field("shout").read(DOCUMENT) == "POLITICS"
    with pytest.raises(ValueError, match="taken"):
        register_kind("host", FieldKind(extract=shout, summary="louder"))
    with pytest.raises(ValueError, match="identifier"):
        register_kind("a b", FieldKind(extract=shout, summary="louder"))
