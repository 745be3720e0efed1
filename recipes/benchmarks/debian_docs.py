# /// script
# dependencies = []
# ///
r"""Fetch documentation packages of Debian 12 and write them as documents that know their public address.

python recipes/benchmarks/debian_docs.py --out runs/debian-docs            # about 35 MB of packages; a minute
python recipes/benchmarks/debian_docs.py --out runs/debian-docs --large    # about 80 MB more, every page; ten minutes

Needs `apt-get` and `dpkg-deb`; installs nothing (`apt-get download`, `dpkg-deb -x`). Eight sites with eight subjects:
their pages read alike only in being documentation English, so that the host says much about the text, and true
navigation bars are there to be removed: a line that more than a tenth of a site's pages share is left out.

Writes `documents.jsonl` (`documents-large.jsonl`): one `{"id", "url", "source", "text"}` a page, a site after the
other, sorted by address. The texts belong to their authors: train and measure with them, do not publish them.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

MAX_SHARE = 0.1
MIN_CHARS = 400
MAX_PAGES = 500
"""Of one site, chosen by their names; some have thousands."""
SKIPPED = {"script", "style", "head", "nav", "footer", "form", "svg"}
BLOCKS = {"p", "div", "br", "li", "tr", "pre", "table", "ul", "ol", "dl", "dt", "dd", "section", "article"}
BLOCKS |= {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6"}


@dataclass(frozen=True, slots=True)
class Site:
    """A documentation package, and where its pages stand in public."""

    package: str
    folder: str
    url: str
    without: str = r"$^"
    """Pages whose path matches are left out."""


SITES = (
    Site("sqlite3-doc", "usr/share/doc/sqlite3", "https://www.sqlite.org/"),
    Site("python3.11-doc", "usr/share/doc/python3.11/html", "https://docs.python.org/3.11/", r"^(gen|py-mod)index"),
    Site("postgresql-doc-15", "usr/share/doc/postgresql-doc-15/html", "https://www.postgresql.org/docs/15/"),
    Site("apache2-doc", "usr/share/doc/apache2-doc/manual/en", "https://httpd.apache.org/docs/2.4/"),
    Site("cppreference-doc-en-html", "usr/share/cppreference/doc/html/en", "https://en.cppreference.com/w/"),
    Site("anarchism", "usr/share/doc/anarchism/html", "https://www.anarchistfaq.org/"),
    Site("python-django-doc", "usr/share/doc/python-django-doc/html", "https://docs.djangoproject.com/en/3.2/", "^_m"),
    Site("libreoffice-help-en-us", "usr/share/libreoffice/help/en-US/text", "https://help.libreoffice.org/7.4/"),
)


LARGE_SITES = (
    *SITES,
    Site("python-pandas-doc", "usr/share/doc/python-pandas-doc/html", "https://pandas.pydata.org/docs/", "^_m"),
    Site(
        "openjdk-17-doc", "usr/share/doc/openjdk-17-jre-headless/api", "https://docs.oracle.com/en/java/", "class-use"
    ),
    Site("erlang-doc", "usr/share/doc/erlang-doc", "https://www.erlang.org/doc/"),
    Site("python-scipy-doc", "usr/share/doc/python-scipy-doc/html", "https://docs.scipy.org/doc/", "^_m"),
)
"""More than 100 MB of text, with every page of every site."""


class TextOfPage(HTMLParser):
    """Collects the visible text of a page, a line a block."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.skipping = 0
        self.is_verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102
        self.skipping += tag in SKIPPED
        self.is_verbatim += tag == "pre"
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:  # noqa: D102
        self.skipping -= tag in SKIPPED and self.skipping > 0
        self.is_verbatim -= tag == "pre" and self.is_verbatim > 0
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:  # noqa: D102
        if not self.skipping:
            self.parts.append(data if self.is_verbatim else re.sub(r"\s+", " ", data))


def text_of(html: str) -> str:
    """Return the visible text of an HTML page, without empty lines."""
    page = TextOfPage()
    page.feed(html)
    page.close()
    lines = (line.strip() for line in "".join(page.parts).split("\n"))
    return "\n".join(line for line in lines if line)


def fetch(site: Site, folder: Path) -> Path:
    """Download and unpack a package under `folder`, unless that was done before; return its folder of pages."""
    target = folder / "packages" / site.package
    if not target.exists():
        part = target.with_name(target.name + ".part")
        part.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "--quiet", site.package], cwd=part, check=True, capture_output=True)
        (archive,) = part.glob(f"{site.package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=part, check=True)
        archive.unlink()
        part.rename(target)
    return target / site.folder


def pages_of(site: Site, folder: Path, max_pages: int | None = MAX_PAGES) -> Iterator[tuple[str, str]]:
    """Yield (address, text) of the pages of a site."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.html") if not path.is_symlink()]
    names = sorted((name for name in names if not re.search(site.without, name)), key=_digest)[:max_pages]
    for name in sorted(names):
        yield site.url + name, text_of((folder / name).read_text(encoding="utf-8", errors="replace"))


def _digest(name: str) -> bytes:
    return sha256(name.encode()).digest()


def without_shared_lines(pages: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the pages without the lines that too many of them share; pages with little left are left out."""
    counts = Counter(line for _, text in pages for line in set(text.split("\n")))
    limit = max(3, MAX_SHARE * len(pages))
    seen: set[str] = set()
    for url, text in pages:
        left = "\n".join(line for line in text.split("\n") if counts[line] <= limit)
        if len(left) >= MIN_CHARS and left not in seen:
            seen.add(left)
            yield url, left


def make_corpus(folder: Path, *, is_large: bool = False) -> Path:
    """Return `documents.jsonl` (or `documents-large.jsonl`) under `folder`, written unless it is there."""
    path = folder / ("documents-large.jsonl" if is_large else "documents.jsonl")
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for site in LARGE_SITES if is_large else SITES:
            found = list(pages_of(site, fetch(site, folder), None if is_large else MAX_PAGES))
            pages = list(without_shared_lines(found))
            for url, text in pages:
                row = {"id": url, "url": url, "source": site.package, "text": text}
                file.write(json.dumps(row) + "\n")
            print(f"{site.package}: {len(pages)} pages, {sum(len(t) for _, t in pages) / 1e6:.1f} MB", file=sys.stderr)
    part.rename(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/debian-docs"))
    parser.add_argument("--large", action="store_true", help="four more sites, and every page of each")
    args = parser.parse_args()
    print(make_corpus(args.out, is_large=args.large))


if __name__ == "__main__":
    main()
