import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from hf_curation.reports import gather_report, render_report
from hf_curation.reports.gather import MAX_SAMPLE
from hf_curation.reports.render import MAX_BYTES, load_template

EVIL = (
    "<script>document.title='owned'</script>\n"
    "<img src=x onerror=\"document.title='owned'\"> ' \" & </p></div></details></main>\n"
    "nul \x00 bell \x07 escape \x1b[31m and \u202eright to left\u202c\u2066 isolate\n"
    "zero\u200bwidth\ufeff {{ 7 * 7 }} {% raw %} ${7*7} ]]> --> <!-- </style></script>\n"
)


class Page(HTMLParser):
    """Every tag and attribute of a report, and whether the tags nest."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.stack, self.text = [], [], [], []
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in {"meta", "input"}:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


def make(path, **options):
    return render_report(gather_report(path, **options)).decode("utf-8")


def test_the_report_shows_what_the_run_did(small_run):
    html = make(small_run.write())
    page = Page(html)
    text = re.sub(r"\s+", " ", " ".join(page.text))
    assert "tagger-v1 read 14 pages and took out" in text
    assert "6 edited 42.9 %" in text
    assert "3 quarantined" in text
    assert "<del>Home | Login | Basket</del>" in html
    assert "<del>, call us on 555 0100</del>" in html
    assert 'data-n="2"><p dir="auto"><del>Share this</del>' in html
    assert "the first line does not exist in the part of the page that the refiner was shown" in text
    assert "the program would remove more than the allowed share of the page" in text
    assert text.count("byte for byte") == 9
    assert text.count("the program drops this page") == 2
    assert page.values("href")[-1] == "https://example.org/whales"
    assert "replay differs" not in text
    assert 'class="warning"' not in html


def test_outcomes_fill_the_bar(small_run):
    html = make(small_run.write())
    bar = html[html.index('<figure class="outcome">') :]
    bar = bar[: bar.index("</figure>")]
    spans = [tuple(map(float, span)) for span in re.findall(r'x="([\d.]+)%" width="([\d.]+)%"', bar)]
    assert len(spans) == 5
    assert sum(width for _, width in spans) == pytest.approx(100, abs=0.01)
    for (x, width), (following, _) in pairwise(spans):
        assert x + width == pytest.approx(following, abs=0.01)


def test_the_file_needs_nothing_and_runs_nothing_else(small_run):
    html = make(small_run.write())
    page = Page(html)
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert not {"link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert page.values("src") == page.values("style") == []
    style, script = html.split("<style>")[1].split("</style>")[0], html.split("<script>")[1].split("</script>")[0]
    assert not re.search(r"url\(|@import|expression", style)
    policy = next(value for value in page.values("content") if "default-src" in value)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for source in (style, script):
        assert b64encode(sha256(source.encode()).digest()).decode() in policy


def test_hostile_pages_are_text(run):
    run.add("<b>id</b>", EVIL + "body\n" * 3, "remove_lines(0, 0)", url="javascript:alert(1)", title=EVIL)
    run.add("2", EVIL, 'normalize(source_str="zero\u200bwidth\ufeff", target_str="\\u200d")', page_type=EVIL, url="")
    run.add("3", EVIL, "drop_doc()", url='https://evil.example/"onclick="x', filter_reason="<script>")
    run.add("4", EVIL * 2, "remove_lines(0, 0)", url="https://example.org/<script>", language="<i>")
    run.rows[0]["refine_rejected"] = ["<script>alert(2)</script>"] * 3
    run.rows[1]["chunk_program"] += "\n<script>alert(3)</script>"
    run.quarantined = ["<script>"]
    html = render_report(gather_report(run.write()), title="<script>title</script>\x00\udc80").decode("utf-8")
    page = Page(html)
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert "img" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert [value for value in page.values("href") if not value.startswith("#")] == []
    for character in "\x00\x07\x1b\u202e\u202c\u2066\u200b\ufeff":
        assert character not in html
    assert "document.title='owned'" in "".join(page.text)
    assert "{{ 7 * 7 }}" in "".join(page.text)


def test_right_to_left_lines_stay_in_their_box(run):
    run.add("1", "تسجيل الدخول\nالحيتان تغني لبعضها البعض.", "remove_lines(0, 0)")
    html = make(run.write())
    assert '<div class="removed" data-n="0"><p dir="auto"><del>تسجيل الدخول</del></p></div>' in html
    assert re.search(r"\.diff p \{[^}]*unicode-bidi: isolate", html)


@pytest.mark.slow
def test_the_size_is_bounded_for_any_run(run):
    noise = "".join(chr(0x202A + i % 5) + "<&\"'" for i in range(2_000))
    url = "https://a.example/" + "&" * 5_000
    for i in range(200):
        run.add(f"lines-{i}", f"{noise}\n" * 3 + "&\n" * 200, f"remove_lines(0, {i})", url=url)
    for i in range(20):
        run.add(f"one-line-{i}", "&" * 100_000 + "REMOVE" + "\u202e" * 100_000, 'normalize(source_str="REMOVE")')
    calls = "\n".join(f'normalize(source_str="<{i}>")' for i in range(3_000))
    run.add("calls", "\n".join(f"<{i}>" for i in range(3_000)) + " kept" * 5_000, calls, title="\u202e" * 10_000)
    for row in run.rows:
        row["id"] += "\u202e" * 1_000
        row["page_type"] = row["id"] + "<" * 500
        row["refine_rejected"] = [f"{i}" + '"' * 200 for i in range(300)]
    run.quarantined = [f"{i}" + "<" * 200 for i in range(100)]
    path = run.write()
    for sample in (1, MAX_SAMPLE):
        html = render_report(gather_report(path, sample=sample), title='"' * 10_000)
        Page(html.decode())
        assert len(html) < MAX_BYTES
        assert f"{min(sample, len(run.rows))} of 321 pages" in html.decode()
        assert "characters not shown" in html.decode()


def test_pages_are_left_out_rather_than_the_limit_broken(small_run, monkeypatch):
    whole = make(small_run.write())
    monkeypatch.setattr("hf_curation.reports.render.MAX_BYTES", len(whole) - 1)
    html = make(small_run.folder)
    assert len(html) < len(whole)
    assert "3 more were drawn and did not fit into this file" in html


def test_equal_runs_give_equal_bytes_for_any_number_of_files(small_run, tmp_path):
    one = make(small_run.write(num_files=1), sample=5)
    small_run.rows.reverse()
    small_run.folder = tmp_path / "other"
    assert make(small_run.write(num_files=3), sample=5) == one
    assert str(tmp_path) not in one
    assert "/secret/place" not in one
    assert "/models" not in one


def test_without_originals_the_report_says_how_to_get_them(small_run):
    html = make(small_run.write(keep_original=False))
    Page(html)
    assert "--keep-original" in html
    assert "The original text is not in this run: the final text is shown." in html
    assert "Characters removed by host" not in html
    assert "took out" in html  # the run counted its characters itself
    bare = small_run.write(keep_original=False, manifests=False)
    (bare / "manifests" / "00000.json").unlink()
    assert "took out" not in make(bare)


def test_a_page_that_was_tampered_with_is_marked(small_run):
    small_run.rows[2]["text"] = "Sharks bite."
    html = make(small_run.write())
    assert html.count('<span class="badge">replay differs</span>') == 1
    assert "1 of 11 pages do not follow from their original and their program." in html


def test_an_empty_run_is_a_report_too(run):
    html = make(run.write())
    Page(html)
    assert "read 0 pages" in html


def test_without_jinja_the_command_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install 'hf-curation\[report\]'"):
        load_template()


def test_samples_are_limited(small_run):
    with pytest.raises(ValueError, match="sample must be 0 to 200, got 201"):
        gather_report(small_run.write(), sample=201)
