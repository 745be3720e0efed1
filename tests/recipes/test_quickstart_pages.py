"""The quickstart pages keep their promises: enough of each kind, nobody's site named, gold in line with the marks."""

import json
import re
import subprocess
import sys
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from hf_curation.programs.lines import split_lines

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart"
EMPTY_TYPES = {"cookie_wall", "spam", "error_page"}
RESERVED = re.compile(r"(.+\.)?(example|example\.(com|org|net)|localhost)")
PAGE = "url: https://a.example/\ntype: article\nlang: en\ntitle: T\n\n"


def load_recipe_module():
    spec = spec_from_file_location("quickstart_pages", RECIPE / "quickstart_pages.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = load_recipe_module()


@pytest.fixture(scope="module")
def rows():
    return list(pages.read_pages())


def test_there_are_enough_pages_of_every_type(rows):
    types = Counter(row["metadata"]["page_type"] for row in rows)
    assert len(rows) >= 80
    assert set(types) == set(pages.TYPES)
    assert min(types.values()) >= 4
    assert len({row["id"] for row in rows}) == len({row["metadata"]["url"] for row in rows}) == len(rows)


def test_every_promised_language_is_there(rows):
    languages = {row["metadata"]["language"].partition("-")[0] for row in rows}
    european = {"en", "de", "fr", "es", "pt", "it", "pl", "ru", "tr"}
    assert languages >= european | {"ar", "hi", "id", "ja", "zh", "th", "vi", "ko"}


def test_the_readme_states_the_number_of_pages(rows):
    assert f"{len(rows)} pages" in (RECIPE / "README.md").read_text(encoding="utf-8").splitlines()[0]


def test_no_address_belongs_to_anybody(rows):
    for row in rows:
        source = f"{row['metadata']['url']}\n{row['text']}"
        hosts = re.findall(r"https?://([^/:\s]+)", source) + re.findall(r"\S@([\w-]+(?:\.[\w-]+)+)", source)
        assert hosts
        strangers = [host for host in hosts if not RESERVED.fullmatch(host.rstrip("."))]
        assert strangers == [], row["id"]


def test_gold_is_empty_exactly_where_there_is_nothing_to_keep(rows):
    for row in rows:
        assert (row["metadata"]["gold_text"] == "") == (row["metadata"]["page_type"] in EMPTY_TYPES), row["id"]


def test_gold_only_takes_away(rows):
    """Each gold line is a raw line or a raw line with characters removed, and their order is the same."""
    for row in rows:
        raw = iter(split_lines(row["text"]))
        for line in filter(None, split_lines(row["metadata"]["gold_text"])):
            assert any(is_subsequence(line, candidate) for candidate in raw), (row["id"], line)


def test_a_replaced_line_says_less_but_something():
    for path in sorted(pages.PAGES.glob("*.txt")):
        lines = path.read_text(encoding="utf-8").split("\n")
        for raw, gold in pairwise(lines):
            if raw.startswith("< "):
                assert 0 < len(gold[2:].strip()) < len(raw[2:]), (path.name, raw)
                assert is_subsequence(gold[2:], raw[2:]), (path.name, raw)


def test_pages_are_not_made_from_a_template(rows):
    lines = {row["id"]: {line.strip() for line in split_lines(row["text"]) if line.strip()} for row in rows}
    for (first, first_lines), (second, second_lines) in combinations(lines.items(), 2):
        shared = first_lines & second_lines
        assert len(shared) <= 3, (first, second, shared)
        assert max(map(len, shared), default=0) <= 40, (first, second, shared)


def test_some_pages_are_clean_and_some_are_mostly_boilerplate(rows):
    shares = [len(row["metadata"]["gold_text"]) / len(row["text"]) for row in rows]
    assert sum(share > 0.95 for share in shares) >= 4
    assert sum(0 < share < 0.5 for share in shares) >= 8
    sizes = [row["text"].count("\n") for row in rows]
    assert min(sizes) <= 10
    assert max(sizes) >= 140


def test_parse_page_follows_the_marks():
    page = pages.parse_page(PAGE + "- Home\n+ Head\n\n\n< Body. Photo: X\n> Body.\n- Foot\n+\n")
    assert page["text"] == "Home\nHead\n\n\nBody. Photo: X\nFoot\n\n"
    assert page["metadata"]["gold_text"] == "Head\n\nBody."
    assert page["metadata"]["title"] == "T"


def test_escapes_stand_for_characters_and_other_backslashes_for_themselves():
    page = pages.parse_page(PAGE + "+ a\\u{2028}b\\n\\u0041\\u{D}\n")
    assert page["text"] == "a\u2028b\\n\\u0041\r\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (PAGE + "Home\n", "line 6: expected a mark"),
        (PAGE + "+Home\n", "line 6: expected a mark"),
        (PAGE + "< raw\n+ other\n", "line 7: every `<` line"),
        (PAGE + "> gold\n", "line 6: every `<` line"),
        (PAGE + "< raw\n", "the last line"),
        (PAGE.replace("article", "poem"), "unknown type 'poem'"),
        (PAGE.replace("lang: en\n", ""), "line 3: expected `lang: ...`"),
        (PAGE.replace("\n\n", "\n") + "+ text\n", "line 5: an empty line"),
        ("url: https://a.example/\n", "the header needs url, type, lang, title"),
    ],
)
def test_a_broken_page_is_an_error_that_says_where(source, message):
    with pytest.raises(ValueError, match=message):
        pages.parse_page(source)


def test_a_broken_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds no pages"):
        list(pages.read_pages(tmp_path))
    (tmp_path / "bad.txt").write_text(PAGE + "?\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.txt: line 6"):
        list(pages.read_pages(tmp_path))


def test_the_command_writes_what_the_reader_reads(tmp_path, rows):
    out = tmp_path / "new" / "pages.jsonl"
    command = [sys.executable, str(RECIPE / "quickstart_pages.py"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{len(rows)} pages written" in done.stdout
    assert [json.loads(line) for line in out.read_bytes().decode().removesuffix("\n").split("\n")] == rows


def is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(char in rest for char in short)
