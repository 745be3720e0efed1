import gzip
import io
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.files import warc
from hf_curation.files.reading import ShardError, is_readable, is_warc, open_lines
from hf_curation.files.warc import WARC_REASONS, Capture, NoPageError, page_of, read_captures

PAGE = "<!doctype html><html><body><p>Wale singen nachts – 鯨</p></body></html>"


def record(kind, content, **headers):
    lines = [f"WARC-Type: {kind}", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(["WARC/1.0", *lines, "", ""]).encode() + content + b"\r\n\r\n"


def answer(body, status="200 OK", **headers):
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def response(body, **headers):
    return Capture(0, {"warc-type": "response"}, answer(body, **{"Content_Type": "text/html", **headers}))


def captures(data, name="a.warc", **parts):
    return list(read_captures(open_lines(io.BytesIO(data), name), name, **parts))


def reason(capture):
    with pytest.raises(NoPageError) as caught:
        page_of(capture)
    assert str(caught.value) in WARC_REASONS
    return str(caught.value)


FILE = [
    record("warcinfo", b"software: a crawler\r\n"),
    record("request", b"GET / HTTP/1.1\r\n\r\n"),
    record("response", answer(PAGE.encode(), Content_Type="text/html"), WARC_Target_URI="https://a.example/1"),
    record("metadata", b"fetchTimeMs: 3"),
    record("revisit", b""),
    record("conversion", b"plain", Content_Type="text/plain"),
]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "members"])
def test_captures_are_numbered_and_what_describes_them_is_passed_over(pack):
    found = captures(b"".join(pack(one) for one in FILE))
    assert [(one.index, one.headers["warc-type"]) for one in found] == [
        (0, "response"), (1, "revisit"), (2, "conversion"),
    ]  # fmt: skip
    assert page_of(found[0]) == (PAGE, True)
    assert page_of(found[2]) == ("plain", False)
    assert found[0].headers["warc-target-uri"] == "https://a.example/1"


@pytest.mark.parametrize("num_parts", [1, 2, 3, 5])
def test_parts_are_everything_once(num_parts):
    data = b"".join(FILE) * 7
    parts = [captures(data, part=part, num_parts=num_parts) for part in range(num_parts)]
    assert sorted((one for part in parts for one in part), key=lambda one: one.index) == captures(data)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, len(b"".join(FILE)) - 5), packed=st.booleans())
def test_a_file_that_is_cut_says_so_wherever_it_is_cut(cut, packed):
    whole = b"".join(FILE)
    ends = {sum(map(len, FILE[:n])) - back for n in range(len(FILE) + 1) for back in range(5)}
    data = gzip.compress(whole) if packed else whole
    cut = max(1, cut * len(data) // len(whole))
    if not packed and cut in ends:  # between two records: nothing is missing that could be known of
        assert captures(data[:cut]) == captures(whole)[: len(captures(data[:cut]))]
        return
    with pytest.raises(ShardError, match=r"a\.warc"):
        captures(data[:cut])


@pytest.mark.parametrize("data", [b"not a warc\n", b'{"text": "x"}\n', b"WARC/1.0\r\nContent-Length: -4\r\n\r\n"])
def test_what_is_no_warc_is_no_empty_one(data):
    with pytest.raises(ShardError, match="no WARC file"):
        captures(data)


def test_a_capture_over_the_cap_is_passed_over_and_told(monkeypatch):
    monkeypatch.setattr(warc, "MAX_CAPTURE_BYTES", 300)
    found = captures(record("response", b"x" * 301) + FILE[2])
    assert reason(found[0]) == "capture_too_long"
    assert found[0].content == b""
    assert page_of(found[1]) == (PAGE, True)


def test_answers_come_in_chunks_and_packed():
    body = PAGE.encode()
    chunks = b"%x\r\n" % 20 + body[:20] + b"\r\n%x;ext=1\r\n" % len(body[20:]) + body[20:] + b"\r\n0\r\n\r\n"
    assert page_of(response(chunks, Transfer_Encoding="chunked")) == (PAGE, True)
    assert page_of(response(body, Transfer_Encoding="chunked")) == (PAGE, True)  # joined by the crawler
    assert page_of(response(gzip.compress(body), Content_Encoding="gzip")) == (PAGE, True)
    assert page_of(response(body, Content_Encoding="gzip")) == (PAGE, True)  # unpacked by the crawler
    assert page_of(response(zlib.compress(body), Content_Encoding="deflate")) == (PAGE, True)
    assert page_of(response(zlib.compress(body)[2:-4], Content_Encoding="deflate")) == (PAGE, True)


def test_a_small_answer_does_not_unpack_to_gigabytes(monkeypatch):
    monkeypatch.setattr(warc, "MAX_CAPTURE_BYTES", 2**20)
    assert reason(response(gzip.compress(bytes(2**24)), Content_Encoding="gzip")) == "capture_too_long"


@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        (response(b"\x89PNG", Content_Type="image/png"), "not_html"),
        (response(b"{}", Content_Type=""), "not_html"),
        (response(b"", status="404 Not Found"), "http_status"),
        (response(b"", status="301 Moved"), "http_status"),
        (Capture(0, {"warc-type": "response"}, b"no http at all"), "bad_http"),
        (response(b"\x1f\x8b\x00broken", Content_Encoding="gzip"), "bad_http"),
        (response(b"\x0b\x02\x80", Content_Encoding="br"), "bad_http"),
        (Capture(0, {"warc-type": "revisit", "content-type": "text/html"}, b""), "not_html"),
        (response(b"\xff\xfe\x00" + b"\xd8" * 9), "undecodable_page"),
        (response(b"a\x81", Content_Type="text/html; charset=klingon"), "undecodable_page"),
        (response(b"a\x81", Content_Type="text/html; charset=rot13"), "undecodable_page"),
        (response(b"a\xff+AGE-", Content_Type="text/html; charset=utf-7"), "undecodable_page"),
    ],
)
def test_what_is_no_page_has_a_reason(capture, expected):
    assert reason(capture) == expected


@pytest.mark.parametrize(
    ("text", "charset", "declared"),
    [
        ("Grüße", "utf-8", "text/html; charset=iso-8859-1"),  # UTF-8 is hardly ever anything else
        ("Grüße", "cp1252", "text/html"),
        ("“Grüße”", "cp1252", "text/html; charset=ISO-8859-1"),  # as browsers read it
        ("鯨は夜に歌う", "shift_jis", "text/html; charset=Shift_JIS"),
        ("鲸鱼", "gbk", "text/html; charset=gb2312"),
        ("Киты поют", "koi8-r", 'text/html; charset="koi8-r"'),
    ],
)
def test_charsets(text, charset, declared):
    assert page_of(response(text.encode(charset), Content_Type=declared)) == (text, True)


def test_the_page_itself_may_name_its_charset():
    page = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>Киты'
    assert page_of(response(page.encode("cp1251"))) == (page, True)
    assert page_of(response(b"\xef\xbb\xbf" + PAGE.encode())) == (PAGE, True)


def test_a_page_that_was_cut_inside_a_character_is_utf_8_still():
    assert page_of(response("Wale – 鯨".encode()[:-1])) == ("Wale – ", True)


def test_without_a_type_the_bytes_decide():
    untold = response(PAGE.encode(), Content_Type="")
    untold.headers["content-type"] = "application/http; msgtype=response"
    assert page_of(untold) == (PAGE, True)
    resource = Capture(0, {"warc-type": "resource", "content-type": "text/html"}, PAGE.encode())
    assert page_of(resource) == (PAGE, True)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["chunked", "gzip", "deflate", ""]))
def test_no_bytes_raise_anything_but_a_reason(body, how):
    headers = {"Transfer_Encoding": how} if how == "chunked" else {"Content_Encoding": how}
    for one in (response(body, **headers), Capture(0, {"warc-type": "response"}, body)):
        with suppress(NoPageError):
            page_of(one)[0].encode()


def test_names():
    assert all(map(is_warc, ["a.warc", "CC-MAIN.WARC.GZ", "x.warc.wet.gz", "a.warc.zst"]))
    assert not any(map(is_warc, ["a.jsonl.gz", "warc", "a.arc.gz", "a.warc.txt"]))
    assert is_readable("a.warc.gz")
