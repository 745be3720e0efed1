"""WARC, the archive of crawlers: its captures one by one, what HTTP says of them, and their bytes as text.

A WARC file is records of headers and as many bytes as these say, one gzip member each or not; `reading` decompresses
and notices a cut, this counts bytes. Of the kinds of records four are captures: `response`, `resource`, `revisit`, and
`conversion`, which is what WET files hold. The others (`request`, `metadata`, `warcinfo`, `continuation`) describe
captures and are passed over like blank lines of JSONL; captures are numbered without them.

datatrove's `WarcReader` leaves out what it cannot decode without a word, needs libmagic, and ends a damaged file like
a whole one; here every capture that is no page has a reason.
"""

import codecs
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from hf_curation.files.reading import ShardError

MAX_CAPTURE_BYTES: Final = 32 * 2**20
_MAX_HEADER_BYTES: Final = 2**20
_BLOCK_BYTES: Final = 2**20
_CAPTURES: Final = {"response", "resource", "revisit", "conversion"}
_HTML: Final = {"text/html", "application/xhtml+xml"}
_HTML_RE: Final = re.compile(rb"\s*(?:<!--.{0,500}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
_META_CHARSET_RE: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w:.-]{1,40})", re.I)
_CHARSET_RE: Final = re.compile(r"charset\s*=\s*[\"']?\s*([\w:.-]{1,40})", re.I)
_CHUNK_RE: Final = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]{0,200}\r?\n")
_WIDER: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
}
_CHARSETS: Final = {
    *("utf-8", "utf-16-le", "utf-16-be", "utf-16", "gb18030", "big5", "big5hkscs", "shift_jis", "cp932", "euc_jp"),
    *("iso2022_jp", "euc_kr", "cp949", "koi8-r", "koi8-u", "cp866", "cp874", "tis-620", "mac-roman", "mac-cyrillic"),
    *(f"cp125{i}" for i in range(9)),
    *(f"iso8859-{i}" for i in (*range(2, 9), 10, 11, 13, 14, 15, 16)),
}
"""Python's names of what pages are written in; a page may not choose among all codecs, some are slow or no texts."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A record of a WARC file that holds something that was fetched."""

    index: int
    """Its place among the captures of the file."""
    headers: dict[str, str]
    """Of WARC, names in lower case."""
    content: bytes
    """As it lies there, HTTP headers included; nothing where `is_whole` is False."""
    is_whole: bool = True
    """False: longer than `MAX_CAPTURE_BYTES`, and passed over."""


class NoPageError(Exception):
    """A capture holds no page; the argument is the reason, a key of `WARC_REASONS`."""


WARC_REASONS: Final[dict[str, str]] = {
    "capture_too_long": "the capture is longer than the reader's cap, as it lies there or decompressed",
    "not_html": "the capture is no HTML page (a picture, a script, a revisit without content)",
    "http_status": "the server did not answer with a page but with an error or a redirection",
    "bad_http": "the answer, or its compression, cannot be made out",
    "undecodable_page": "the page is neither UTF-8 nor what it says it is written in",
}
"""Reason -> what it means; part of the quarantine's closed set."""


def read_captures(stream: BinaryIO, name: str, *, part: int = 0, num_parts: int = 1) -> Iterator[Capture]:
    """Yield every `num_parts`th capture of a decompressed WARC file, from `part` on.

    Raises:
        ShardError: where the file is cut off, damaged, or no WARC; every capture before that has been yielded.
    """
    index = 0
    try:
        while (headers := _read_headers(stream)) is not None:
            length = headers.get("content-length", "")
            if not (length.isascii() and length.isdigit() and len(length) < 16):
                reason = "damaged" if index else "wrong_format"
                raise ShardError(f"{name}: is no WARC file, or damaged, after {index} captures", reason)
            is_wanted = headers.get("warc-type", "").lower() in _CAPTURES
            is_ours = is_wanted and index % num_parts == part
            is_whole = int(length) <= MAX_CAPTURE_BYTES
            content = _take(stream, int(length), keep=is_ours and is_whole)
            if is_ours:
                yield Capture(index, headers, content, is_whole)
            index += is_wanted
    except ShardError:
        raise
    except (OSError, EOFError) as error:
        raise ShardError(f"{name}: damaged or cut off after {index} captures ({error})") from error


def page_of(capture: Capture) -> tuple[str, bool]:
    """Return what a capture holds, and whether that is HTML; a `conversion` may be text already.

    Raises:
        NoPageError: with the reason.
    """
    if not capture.is_whole:
        raise NoPageError("capture_too_long")
    kind = capture.headers.get("warc-type", "").lower()
    # Of a response the record's own type is application/http.
    headers, body = _answer(capture.content) if kind == "response" else (capture.headers, capture.content)
    declared = headers.get("content-type", "")
    identified = capture.headers.get("warc-identified-payload-type") or declared
    media = identified.partition(";")[0].strip().lower()
    if kind == "conversion" and media == "text/plain":
        return _decode(body, declared), False
    is_html = _HTML_RE.match(body[:2000]) if media in {"", "application/octet-stream"} else media in _HTML
    if kind == "revisit" or not is_html:
        raise NoPageError("not_html")
    return _decode(body, declared), True


def _read_headers(stream: BinaryIO) -> dict[str, str] | None:
    """Return the headers of the next record, none of them where it is no WARC; None at the end of the file."""
    while (line := stream.readline(_MAX_HEADER_BYTES)).isspace():
        pass
    if not line:
        return None
    if not line.startswith(b"WARC/"):
        return {}
    lines, size = [], 0
    while (line := stream.readline(_MAX_HEADER_BYTES)) not in {b"\n", b"\r\n"}:
        size += len(line)
        if not line.endswith(b"\n") or size > _MAX_HEADER_BYTES:
            raise EOFError("in the headers of a record")
        lines.append(line)
    return _headers(lines)


def _headers(lines: list[bytes]) -> dict[str, str]:
    """Return name -> value; the first of several counts."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if colon:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _take(stream: BinaryIO, length: int, *, keep: bool) -> bytes:
    """Read exactly so many bytes and return them, or nothing where they need not be kept."""
    parts = []
    while length:
        block = stream.read(min(length, _BLOCK_BYTES))
        if not block:
            raise EOFError(f"{length:,} bytes of a record are missing")
        length -= len(block)
        if keep:
            parts.append(block)
    return b"".join(parts)


def _answer(content: bytes) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an HTTP answer, without what it was packed in for the way."""
    end = re.search(rb"\r?\n\r?\n", content[:_MAX_HEADER_BYTES])
    if end is None or not content.startswith(b"HTTP/"):
        raise NoPageError("bad_http")
    status, *lines = content[: end.start()].split(b"\n")
    if not re.match(rb"HTTP/[\d.]+ +2\d\d\b", status):
        raise NoPageError("http_status")
    headers, body = _headers(lines), content[end.end() :]
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _joined(body)
    return headers, _unpacked(body, headers.get("content-encoding", "").strip().lower())


def _joined(body: bytes) -> bytes:
    """Return a body in chunks as one; many crawlers join the chunks and leave the header, which is then wrong."""
    parts, at = [], 0
    while (match := _CHUNK_RE.match(body, at)) and (size := int(match[1], 16)):
        parts.append(body[match.end() : match.end() + size])
        at = match.end() + size
        at += 2 if body[at : at + 2] == b"\r\n" else 1
    return b"".join(parts) if parts else body


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Return a body decompressed as far as it goes: crawlers cut long pages."""
    if encoding in {"", "identity", "none"} or (encoding in {"gzip", "x-gzip"} and body[:2] != b"\x1f\x8b"):
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        return body if _HTML_RE.match(body[:2000]) else _bad_http()
    raw_deflate = encoding == "deflate" and body[:1] != b"\x78"
    inflater = zlib.decompressobj(-zlib.MAX_WBITS if raw_deflate else zlib.MAX_WBITS | 32)
    try:
        found = inflater.decompress(body, MAX_CAPTURE_BYTES)
    except zlib.error:
        return _bad_http()
    if inflater.unconsumed_tail:
        raise NoPageError("capture_too_long")
    return found


def _bad_http() -> bytes:
    raise NoPageError("bad_http")


def _decode(body: bytes, declared: str) -> str:
    """Return the text of a page: UTF-8 if it is that, else what it says it is, else what browsers take it for."""
    for mark, charset in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if body.startswith(mark):
            return _decoded(body[len(mark) :], charset)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(body) - error.start < 4 and error.reason == "unexpected end of data":
            return body[: error.start].decode("utf-8")  # a page that was cut inside a character
    labels = [match[1] for match in (_CHARSET_RE.search(declared),) if match]
    labels += [match[1].decode("ascii", "replace") for match in (_META_CHARSET_RE.search(body[:4096]),) if match]
    return _decoded(body, labels[0] if labels else "cp1252")


def _decoded(body: bytes, label: str) -> str:
    try:
        name = codecs.lookup(label).name
        name = _WIDER.get(name, name)
        if name in _CHARSETS:
            return body.decode(name)
    except (LookupError, UnicodeDecodeError, ValueError):
        pass
    raise NoPageError("undecodable_page")
