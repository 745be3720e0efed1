"""Benchmarks: rows in the Hub's columns (written here, none of theirs) as questions, from folders and requests."""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hf_curation.sampling import benchmarks
from hf_curation.sampling.benchmarks import (
    BENCHMARKS,
    PAPER_BENCHMARKS,
    find_benchmarks,
    held_out_of,
    held_out_texts,
    load_benchmark,
    target_texts,
)
from hf_curation.sampling.questions import Question

LABELLED = {"text": ["ice", "steam ", "iron", "oak"], "label": ["A", "B", "C", "D"]}
ROWS: dict[str, dict[str, Any]] = {
    "arc_easy": {"id": "x1", "question": "Which of these is hot?", "choices": LABELLED, "answerKey": "B"},
    "arc_challenge": {
        "id": "x2",
        "question": "Which one melts first? ",
        "choices": {"text": ["ice", "iron"], "label": ["1", "2"]},
        "answerKey": "1",
    },
    "hellaswag": {
        "ind": 1,
        "activity_label": "Baking bread",
        "ctx_a": "[header] How to bake [title] Knead the dough.",
        "ctx_b": "the baker",
        "ctx": "ignored",
        "endings": ["lets it [substeps] rest.", ", then, eats it raw."],
        "label": "0",
    },
    "piqa": {"goal": "Dry a wet shoe", "sol1": "Stuff it with paper.", "sol2": "Stuff it with soup.", "label": 0},
    "winogrande": {
        "sentence": "The cup did not fit the box because _ was too small.",
        "option1": "the cup",
        "option2": "the box",
        "answer": "2",
    },
    "openbookqa": {"id": "7", "question_stem": "A hot thing is", "choices": LABELLED, "answerKey": "B"},
    "boolq": {"question": "is the moon a star", "answer": False, "passage": "The Moon orbits the Earth.\nIt is rock."},
    "social_iqa": {
        "context": "Kai lost the key.",
        "question": "What will Kai do next?",
        "answerA": "look for it",
        "answerB": "sing",
        "answerC": "sleep",
        "label": "1",
    },
    "sciq": {
        "question": "What orbits the Earth?",
        "distractor3": "mars",
        "distractor1": "the sun",
        "distractor2": "venus",
        "correct_answer": "the moon",
        "support": "The moon orbits the Earth.",
    },
    "commonsense_qa": {
        "id": "c",
        "question": "Where do you keep bread?",
        "question_concept": "bread",
        "choices": {"label": ["A", "B"], "text": ["a bin", "a lake"]},
        "answerKey": "A",
    },
}
ANSWERED = {
    "arc_easy": "Which of these is hot? steam",
    "arc_challenge": "Which one melts first? ice",
    "hellaswag": "Baking bread: How to bake. Knead the dough. The baker lets it rest.",
    "piqa": "Dry a wet shoe Stuff it with paper.",
    "winogrande": "The cup did not fit the box because the box was too small.",
    "openbookqa": "A hot thing is steam",
    "boolq": "The Moon orbits the Earth.\nIt is rock.\nis the moon a star? no",
    "social_iqa": "Kai lost the key. What will Kai do next? look for it",
    "sciq": "The moon orbits the Earth.\nWhat orbits the Earth? the moon",
    "commonsense_qa": "Where do you keep bread? a bin",
}
UNANSWERED = {
    "arc_easy": {"answerKey": ""},
    "hellaswag": {"label": ""},
    "piqa": {"label": -1},
    "winogrande": {"answer": ""},
    "social_iqa": {"label": ""},
    "boolq": {"answer": None},
    "commonsense_qa": {"answerKey": ""},
}


def requests_of(doc: dict[str, Any], doc_id: int = 0) -> list[dict[str, Any]]:
    """The lines of one question: one a choice, and again without the question."""
    choices = doc.get("choices", ["a", "b"])
    ids = [doc_id, 1_000_000 + doc_id]
    return [{"doc": doc, "doc_id": one, "idx": i, "request": {}} for one in ids for i in range(len(choices))]


def write_requests(folder: Path, name: str, docs: list[dict[str, Any]]) -> None:
    path = folder / "deep" / name / "requests.jsonl.gz"
    path.parent.mkdir(parents=True)
    lines = [json.dumps(line) for i, doc in enumerate(docs) for line in requests_of(doc, i)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_a_row_of_the_hub_becomes_question_and_answer(name: str) -> None:
    question = BENCHMARKS[name].read(ROWS[name])
    assert question.answered == ANSWERED[name]
    if name in UNANSWERED:
        assert BENCHMARKS[name].read(ROWS[name] | UNANSWERED[name]).gold is None


def test_held_out_are_the_question_and_every_choice() -> None:
    forms = {name: BENCHMARKS[name].read(row).forms() for name, row in ROWS.items()}
    assert forms["commonsense_qa"] == (
        "Where do you keep bread?",
        "Where do you keep bread? a bin",
        "Where do you keep bread? a lake",
    )
    assert forms["winogrande"] == (
        "The cup did not fit the box because the cup was too small.",
        "The cup did not fit the box because the box was too small.",
    )
    assert forms["hellaswag"][-1] == "Baking bread: How to bake. Knead the dough. The baker, then, eats it raw."
    assert not any("orbits the Earth." in form for form in (*forms["boolq"], *forms["sciq"]))
    assert "The moon orbits the Earth." in BENCHMARKS["sciq"].read(ROWS["sciq"]).forms(passages=True)


def test_a_winogrande_sentence_without_blank_is_refused() -> None:
    with pytest.raises(ValueError, match="no blank"):
        BENCHMARKS["winogrande"].read(ROWS["winogrande"] | {"sentence": "No blank."})


def test_the_eight_of_the_paper_by_one_name() -> None:
    assert len(PAPER_BENCHMARKS) == 8
    assert find_benchmarks("benchmark:paper") == tuple(BENCHMARKS[name] for name in PAPER_BENCHMARKS)
    assert find_benchmarks("csqa") == (BENCHMARKS["commonsense_qa"],)
    assert held_out_of("benchmark:arc_easy") == ("validation", "test")
    assert held_out_of("boolq") == ("validation",)
    with pytest.raises(ValueError, match="did you mean 'hellaswag'"):
        find_benchmarks("benchmark:helaswag")
    with pytest.raises(ValueError, match="and 'paper' for eight"):
        find_benchmarks("xyz")


def test_saved_data_sets_are_read_from_a_folder(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [ROWS["arc_easy"], ROWS["arc_easy"] | {"question": "And cold?", "answerKey": "A"}]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "a" / "ai2_arc" / "ARC-Easy" / "validation"))
    datasets.Dataset.from_list([ROWS["boolq"]]).save_to_disk(str(tmp_path / "a" / "boolq" / "none" / "validation"))
    found = load_benchmark("arc_easy", "validation", folder=tmp_path)
    assert [one.answered for one in found] == ["Which of these is hot? steam", "And cold? ice"]
    texts = list(held_out_texts(["boolq", "arc_easy", "boolq"], splits=["validation"], folder=tmp_path))
    assert texts[:2] == [
        ("boolq/validation", "is the moon a star?"),
        ("boolq/validation", "is the moon a star? yes"),
    ]
    assert [name for name, _ in texts].count("boolq/validation") == 3
    with pytest.raises(ValueError, match=r"holds no test split of ARC-Easy.*leave the folder out"):
        list(held_out_texts(["arc_easy"], splits=["test"], folder=tmp_path))


def test_splits_that_a_folder_lacks_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_requests(
        tmp_path, "openbookqa/test_rc_5shot", [{"query": "Question: Hot?\nAnswer:", "choices": ["a"], "gold": 0}]
    )
    assert {name for name, _ in held_out_texts(["openbookqa"], folder=tmp_path)} == {"openbookqa/test"}
    assert "holds no validation split of OpenBookQA" in caplog.text
    with pytest.raises(ValueError, match="holds no validation split of PIQA"):
        list(held_out_texts(["piqa"], folder=tmp_path))


def test_requests_are_read_each_question_once(tmp_path: Path) -> None:
    write_requests(
        tmp_path,
        "arc_easy/train_rc_5shot",
        [
            {"query": "Question: Which of these is hot?\nAnswer:", "choices": ["ice", " steam"], "gold": 1},
            {"query": "Question: Two\nlines?\nAnswer:", "choices": ["yes", "no"], "gold": 0},
        ],
    )
    write_requests(
        tmp_path,
        "boolq/train_rc_5shot",
        [{"query": "Moon -- A rock.\nQuestion: is it a star?\nAnswer:", "choices": ["yes", "no"], "gold": 1}],
    )
    write_requests(
        tmp_path,
        "hellaswag/train_rc_5shot",
        [{"query": "Baking: The baker", "choices": [", then, rests.", "sings."], "gold": 0}],
    )
    write_requests(tmp_path, "winogrande/train_rc_5shot", [ROWS["winogrande"]])
    write_requests(tmp_path, "piqa/train_rc_5shot", [ROWS["piqa"] | {"query": "Goal: x\nAnswer:", "gold": 0}])
    write_requests(tmp_path, "socialiqa/val_rc_5shot", [ROWS["social_iqa"] | {"query": "unused"}])
    names = ("arc_easy", "boolq", "hellaswag", "winogrande", "piqa")
    texts = [text for name in names for _, text in target_texts(name, folder=tmp_path)]
    assert texts == [
        "Which of these is hot? steam",
        "Two\nlines? yes",
        "Moon -- A rock.\nis it a star? no",
        "Baking: The baker, then, rests.",
        ANSWERED["winogrande"],
        ANSWERED["piqa"],
    ]
    assert load_benchmark("social_iqa", "validation", folder=tmp_path)[0].answered == ANSWERED["social_iqa"]


def test_a_damaged_file_of_requests_names_its_line(tmp_path: Path) -> None:
    write_requests(tmp_path, "piqa/train_rc_5shot", [ROWS["piqa"]])
    path = next(tmp_path.rglob("requests.jsonl.gz"))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\n{}"))
    with pytest.raises(ValueError, match=r"line 5 of .* is no OLMES request"):
        load_benchmark("piqa", "train", folder=tmp_path)


def test_a_split_without_answers_is_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks, "load_benchmark", lambda *_, **__: [Question("Why?", ("a", "b"), None)])
    with pytest.raises(ValueError, match="question 0 of PIQA, test, has no answer"):
        list(target_texts("piqa", split="test"))


def test_the_hub_is_asked_by_the_registered_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Fake:
        @staticmethod
        def load_dataset(path: str, config: str | None, *, split: str) -> list[dict[str, Any]]:
            asked.append((path, config, split))
            return [ROWS["openbookqa"]]

    monkeypatch.setitem(sys.modules, "datasets", Fake)
    assert list(target_texts("benchmark:openbookqa")) == [("openbookqa", "A hot thing is steam")]
    assert asked == [("allenai/openbookqa", "main", "train")]
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'hf-curation\[select\]'"):
        load_benchmark("piqa", "train")
