"""Read the hand-written pages of junk/: what the document stage must drop, and look-alikes that it must keep.

Real pages minus their main content teach menus and footers; cookie walls, error pages and spam hardly occur among
them. These pages fill that gap. junk/README.md tells the format and the rules.
"""

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "junk"
_NAME: Final = re.compile(r"(drop|keep)\.([a-z]{2,3})(?:\.\w+)?\.txt")
_HEADER: Final = re.compile(r"^%% ([a-z_]+)$", re.MULTILINE)


def read_junk(folder: Path = FOLDER) -> list[tuple[str, bool, str, str]]:
    """Return every page as (text, is_junk, language, kind), in the order of file names and of pages in a file.

    Raises:
        ValueError: A file's name has another form, text stands before the first header, or a page is empty.
    """
    return [page for path in sorted(folder.glob("*.txt")) for page in _read_file(path)]


def _read_file(path: Path) -> list[tuple[str, bool, str, str]]:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise ValueError(f"{path}: name it drop.LANGUAGE[.PART].txt or keep.LANGUAGE[.PART].txt")
    before, *parts = _HEADER.split(path.read_text(encoding="utf-8"))
    if before.strip():
        raise ValueError(f"{path}: {before.strip()[:40]!r} stands before the first '%% kind' line; put one above it")
    pages = []
    for kind, body in zip(parts[::2], parts[1::2], strict=True):
        text = re.sub(r"\A(?:[ \t]*\n)+", "", body).rstrip()
        if not text:
            raise ValueError(f"{path}: a page of kind {kind!r} is empty; write it or delete its header")
        pages.append((text, name[1] == "drop", name[2], kind))
    return pages
