"""Every package on a path made for the test comes out once, or is counted under the reason why it does not."""

import pickle
from collections import Counter

import pytest
from datatrove.data import Document

from datatrove_steps.package_descriptions import SKIP_REASONS, ReadPackageDescriptions, package_rows


def install(folder, name, version="1.0", *, headers=(), body="", raw=None, file="METADATA"):
    """Put a package's metadata into `folder` as an installer would."""
    suffix = "dist-info" if file == "METADATA" else "egg-info"
    info = folder / f"{name}-{version}.{suffix}"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers, "", body]
    (info / file).write_bytes("\n".join(lines).encode() if raw is None else raw)


def only_row(folder):
    (row,) = package_rows([folder])
    return row


@pytest.fixture
def site(tmp_path):
    """A path of two folders with five packages to read and one of each kind to skip."""
    first, second = tmp_path / "first", tmp_path / "second"
    for name in ("alpha", "Beta.Two", "gamma", "delta", "epsilon"):
        install(first, name, body=f"# {name}\n\nDoes one thing.\n")
    install(second, "beta_two", "9.9", body="shadowed")
    install(first, "silent")
    install(first, "unknown", body="UNKNOWN\n")
    install(first, "broken", raw=b"Name: broken\nVersion: 1\n\n\xff\xfe caf\xe9")
    install(first, "nameless", raw=b"Metadata-Version: 2.1\n\nText without a name.\n")
    (first / "hollow-1.0.dist-info").mkdir()
    return [first, second]


def test_every_package_is_read_or_counted(site):
    skipped = Counter()
    rows = list(package_rows(site, skipped=skipped))
    ids = ["pypi/alpha==1.0", "pypi/Beta.Two==1.0", "pypi/delta==1.0", "pypi/epsilon==1.0", "pypi/gamma==1.0"]
    assert [row["id"] for row in rows] == ids
    assert skipped == {"duplicate": 1, "no_description": 2, "invalid_utf8": 1, "no_metadata": 2}
    assert set(skipped) == set(SKIP_REASONS)


def test_a_row_holds_the_description_as_it_is_and_where_it_comes_from(tmp_path):
    body = "Título\r\n======\n\n.. image:: https://a.example/badge.svg\n\n* Ünïcode 漢字\n"
    headers = [
        "Summary: Reads the tide",
        "Home-page: https://tide.example/",
        "License-Expression: MIT",
        "Description-Content-Type: text/x-rst",
    ]
    install(tmp_path, "tide-table", "2.4rc1", headers=headers, body=body)
    row = only_row(tmp_path)
    assert row["id"] == "pypi/tide-table==2.4rc1"
    assert row["text"].replace("\r\n", "\n") == body.replace("\r\n", "\n")
    assert row["metadata"] == {
        "url": "https://tide.example/",
        "title": "tide-table: Reads the tide",
        "version": "2.4rc1",
        "license": "MIT",
        "content_type": "text/x-rst",
    }


def test_missing_fields_are_none_and_nothing_is_made_up(tmp_path):
    install(tmp_path, "bare", headers=["Summary: UNKNOWN", "Home-page: UNKNOWN", "License: UNKNOWN"], body="Text.")
    expected = {"url": None, "title": "bare", "version": "1.0", "license": None, "content_type": None}
    assert only_row(tmp_path)["metadata"] == expected


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        (["Project-URL: Home Page, https://h.example", "Home-page: https://old.example"], "https://old.example"),
        (["Project-URL: Docs, https://d.example", "Project-URL: Source-Code, https://s.example"], "https://s.example"),
        (["Project-URL: Funding, https://f.example", "Project-URL: Wiki, https://w.example"], "https://w.example"),
        (["Project-URL: Funding, https://f.example"], None),
        (["Project-URL: Homepage, ftp://h.example", "Project-URL: nonsense"], None),
        (["Home-page: www.h.example", "Project-URL: homepage, https://h.example"], None),
    ],
)
def test_the_url_is_one_that_the_package_gives(tmp_path, headers, url):
    install(tmp_path, "linked", headers=headers, body="Text.")
    assert only_row(tmp_path)["metadata"]["url"] == url


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        (["License: Apache", "License-Expression: Apache-2.0"], "Apache-2.0"),
        (["License: Copyright\n        Permission is granted", "Classifier: License :: OSI Approved :: MIT"], "MIT"),
        (["Classifier: License :: OSI Approved :: A", "Classifier: License :: B", "Classifier: Topic :: C"], "A; B"),
    ],
)
def test_the_licence_is_a_line(tmp_path, headers, licence):
    install(tmp_path, "licensed", headers=headers, body="Text.")
    assert only_row(tmp_path)["metadata"]["license"] == licence


def test_old_metadata_with_the_description_in_a_header(tmp_path):
    headers = ["Description: First line", "        ", "        second paragraph"]
    install(tmp_path, "old", headers=headers, file="PKG-INFO")
    assert only_row(tmp_path)["text"].split() == ["First", "line", "second", "paragraph"]


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 40])
def test_tasks_share_the_packages_and_the_counts(site, world_size):
    steps = [ReadPackageDescriptions(site) for _ in range(world_size)]
    docs = [doc for rank, step in enumerate(steps) for doc in step.run(rank=rank, world_size=world_size)]
    alone = list(package_rows(site))
    assert sorted(doc.id for doc in docs) == sorted(row["id"] for row in alone)
    stats = Counter()
    for step in steps:
        stats.update({name: stat.total for name, stat in step.stats.stats.items()})
    skips = {reason: stats[f"skipped_{reason}"] for reason in SKIP_REASONS}
    assert skips == {"duplicate": 1, "no_description": 2, "invalid_utf8": 1, "no_metadata": 2}
    assert stats["documents"] == len(alone)


def test_the_step_passes_documents_on_and_survives_pickling(site):
    step = pickle.loads(pickle.dumps(ReadPackageDescriptions(site)))  # noqa: S301 - our own bytes
    docs = list(step.run([Document("before", id="0")]))
    assert docs[0].text == "before"
    assert [doc.text for doc in docs[1:3]] == ["# alpha\n\nDoes one thing.\n", "# Beta.Two\n\nDoes one thing.\n"]
    assert set(docs[1].metadata) == {"url", "title", "version", "license", "content_type"}


def test_a_share_that_does_not_exist_is_an_error(site):
    with pytest.raises(ValueError, match=r"part must be in 0\.\.1, got 2"):
        list(package_rows(site, part=2, num_parts=2))


def test_the_environment_itself_has_descriptions():
    rows = list(package_rows())
    assert "numpy" in {row["id"].removeprefix("pypi/").partition("==")[0] for row in rows}
    assert all(row["text"].strip() and row["metadata"]["version"] for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)
