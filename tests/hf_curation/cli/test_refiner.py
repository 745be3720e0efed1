"""`hf-curation refiner`: the table, the set, and one line for every mistake."""

import json

import pytest

from hf_curation.cli.main import main

PAGES = [
    {
        "id": f"p{i}",
        "text": f"Home {i} | Login\nWhale number {i} sings for {i + 2} hours in the cold sea.\n© 20{i:02d} Us",
        "metadata": {
            "gold_text": f"Whale number {i} sings for {i + 2} hours in the cold sea.",
            "url": f"https://site{i}.example/",
        },
    }
    for i in range(25)
]


@pytest.fixture
def pages(tmp_path):
    path = tmp_path / "pages.jsonl"
    path.write_text("".join(json.dumps(page) + "\n" for page in PAGES) + "not json\n")
    return path


def test_evaluate_prints_the_table(pages, capsys):
    assert main(["refiner", "evaluate", "tagger", str(pages)]) == 0
    out, err = capsys.readouterr()
    assert "line-tagger@" in out.split("\n")[0]
    assert "keep-all" in out.split("\n")[0]
    assert "word F1" in out
    assert "25 pages with clean text" in err
    assert "bad_json 1" in err


def test_evaluate_prints_json(pages, capsys):
    assert main(["refiner", "evaluate", "keep-all", str(pages), "--json", "--limit", "10"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["refiner"] for one in found["refiners"]] == ["keep-all", "oracle"]
    assert found["refiners"][1]["word_f1"]["mean"] == 1.0
    assert (found["pages"], found["skipped"]) == (10, {})


def test_splits_of_evaluation_and_of_training_data_are_one(pages, tmp_path, capsys):
    main(["refiner", "evaluate", "keep-all", str(pages), "--json", "--split", "test"])
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["pages"] < 25
    assert found["skipped"]["other_split"] == 25 - found["pages"]
    main(["refiner", "make-data", str(pages), str(tmp_path / "set"), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["by_split"]["test"]["domains"] == found["pages"]


def test_make_data_writes_a_set(pages, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("noise: {enabled: false}\ngates: {min_document_words: 5}\n")
    argv = ["refiner", "make-data", str(pages), str(tmp_path / "set"), "--config", str(config), "--set", "seed=3"]
    assert main([*argv, "--push", "you/whales", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("✓ ")
    assert "would be sent to you/whales" in err
    report = json.loads((tmp_path / "set" / "report.json").read_text())
    assert report["settings"]["seed"] == 3
    assert report["settings"]["noise"]["enabled"] is False
    assert report["pages_labelled"] == {"pair": 25, "documents": 25}
    assert report["records_skipped"] == {"bad_json": 1}


def test_a_teacher_may_have_pages_without_clean_text(tmp_path, capsys):
    path = tmp_path / "raw.jsonl"
    path.write_text('{"text": "Whales sing."}\n')
    argv = ["refiner", "make-data", str(path), str(tmp_path / "set")]
    assert main(argv) == 1
    assert "no" in capsys.readouterr().err
    teacher = ["--set", "teacher.labels=[rewrite]", "--set", "teacher.base_url=http://127.0.0.1:9/v1"]
    assert main([*argv, *teacher]) == 1
    assert "set teacher.base_url and teacher.model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["evaluate", "taggr", "DATA"], "did you mean 'tagger'"),
        (["evaluate", "tagger", "DATA", "--clean-key", "best"], "under 'best'"),
        (["evaluate", "tagger", "DATA", "--option", "weights"], "--option takes KEY=VALUE"),
        (["evaluate", "tagger", "DATA", "--option", "wings=2"], "does not take these options"),
        (["evaluate", "tagger", "prox-web", "DATA", "--preset", "generic-chunk"], "would be for which of"),
        (["evaluate", "tagger", "DATA", "--model", "x"], "names a model on a server"),
        (["evaluate", "tagger", "/nowhere/pages.jsonl"], "there is nothing at"),
        (["make-data", "DATA", "OUT", "--set", "sed=3"], "did you mean 'seed'"),
        (["make-data", "DATA", "OUT", "--set", "gates.max_keep_share=1.0"], "max_keep_share must be in"),
        (["make-data", "DATA", "OUT", "--public"], "are about --push"),
    ],
)
def test_mistakes_are_one_line(pages, tmp_path, capsys, argv, message):
    places = {"DATA": str(pages), "OUT": str(tmp_path / "out")}
    assert main(["refiner", *(places.get(word, word) for word in argv)]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().split("\n")) == 1
    assert "Traceback" not in err
