# /// script
# dependencies = []
# ///
"""Read the quickstart pages: raw text and gold text out of one hand-marked file per page.

python recipes/quickstart/quickstart_pages.py                      # how many pages of which type and language
python recipes/quickstart/quickstart_pages.py --out pages.jsonl    # datatrove's layout, one page a line

Raw and gold live in one file, told apart by a one-character mark before each line, because two files drift: a typo
mended in one of them would look like an edit that a refiner should make. README.md beside this file holds the marks
and the rules by which lines were judged.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGES = Path(__file__).parent / "pages"
TYPES = (
    "article",
    "service",
    "product",
    "collection",
    "forum",
    "listing",
    "documentation",
    "cookie_wall",
    "spam",
    "error_page",
)
HEADER = ("url", "type", "lang", "title")
_ESCAPE = re.compile(r"\\u\{([0-9A-Fa-f]{1,6})\}")


def read_pages(folder: Path = PAGES) -> Iterator[dict[str, Any]]:
    """Yield every page of `folder` in the order of file names, in datatrove's layout.

    Returns:
        Rows `{"id": "quickstart/NAME", "text", "metadata": {"url", "page_type", "language", "title", "gold_text"}}`.

    Raises:
        ValueError: The folder holds no page, or a page breaks the format; says which file and line.
    """
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise ValueError(f"{folder} holds no pages (*.txt)")
    for path in paths:
        try:
            yield {"id": f"quickstart/{path.stem}", **parse_page(path.read_text(encoding="utf-8"))}
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def parse_page(source: str) -> dict[str, Any]:
    """Return `{"text", "metadata"}` of one page file's content; `ValueError` names the line that breaks the format."""
    lines = source.removesuffix("\n").split("\n")
    header = _parse_header(lines[: len(HEADER)])
    if lines[len(HEADER) : len(HEADER) + 1] != [""]:
        raise ValueError(f"line {len(HEADER) + 1}: an empty line must follow the header")
    raw, gold = _parse_body(lines, first=len(HEADER) + 1)
    metadata = {
        "url": header["url"],
        "page_type": header["type"],
        "language": header["lang"],
        "title": header["title"],
        "gold_text": re.sub(r"\n{3,}", "\n\n", "\n".join(gold)).strip("\n"),
    }
    return {"text": "".join(f"{line}\n" for line in raw), "metadata": metadata}


def _parse_header(lines: list[str]) -> dict[str, str]:
    header = {}
    for number, (line, key) in enumerate(zip(lines, HEADER, strict=False), start=1):
        name, colon, value = line.partition(": ")
        if name != key or not colon or not value.strip():
            raise ValueError(f"line {number}: expected `{key}: ...`, got {line!r}")
        header[key] = value.strip()
    if len(header) < len(HEADER):
        raise ValueError(f"the header needs {', '.join(HEADER)}")
    if header["type"] not in TYPES:
        raise ValueError(f"line 2: unknown type {header['type']!r}; one of {', '.join(TYPES)}")
    return header


def _parse_body(lines: list[str], first: int) -> tuple[list[str], list[str]]:
    """Return the raw and the gold lines of `lines[first:]`."""
    raw: list[str] = []
    gold: list[str] = []
    awaiting_gold = False
    for number, line in enumerate(lines[first:], start=first + 1):
        mark, text = line[:1], _unescape(line[2:])
        if line[1:2] not in ("", " ") or mark not in ("", "+", "-", "<", ">"):
            raise ValueError(f"line {number}: expected a mark (+ - < >) and a space, got {line!r}")
        if awaiting_gold != (mark == ">"):
            raise ValueError(f"line {number}: every `<` line is followed by its `>` line, and no other line is")
        awaiting_gold = mark == "<"
        if mark != ">":
            raw.append(text)
        if mark in ("", "+", ">"):
            gold.append(text)
    if awaiting_gold:
        raise ValueError("the last line is a `<` line without its `>` line")
    return raw, gold


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Read the quickstart pages.")
    parser.add_argument("--pages", type=Path, default=PAGES, help="folder of page files (default: beside this file)")
    parser.add_argument("--out", type=Path, help="write one JSON object a line here")
    args = parser.parse_args(argv)
    rows = list(read_pages(args.pages))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        args.out.write_text("".join(lines), encoding="utf-8", newline="\n")
    for key in ("page_type", "language"):
        counts = Counter(row["metadata"][key] for row in rows)
        print(f"{key}: " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))
    print(f"{len(rows)} pages" + (f" written to {args.out}" if args.out else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
