"""A whole set: from pages, with and without a teacher, to a folder, a report and a card."""

import json
from dataclasses import replace

import pytest

from hf_curation.config import resolve
from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.programs import Dialect, execute, parse_program
from hf_curation.refiners.training import (
    EXCLUSIONS,
    ORIGINS,
    TrainingDataConfig,
    make_training_set,
    read_training_set,
    write_training_set,
)
from hf_curation.refiners.training.settings import Gates, Pairs, Student, TeacherSettings


def config(**changes):
    gates = Gates(min_document_words=10, max_keep_share=0.9)
    return replace(TrainingDataConfig(gates=gates), **changes)


def test_programs_of_a_set_do_what_they_should(gold_pages):
    made = make_training_set(gold_pages, config())
    by_id = {page.id: page for page in gold_pages}
    chunks = [e for e in made.examples if e.stage == "chunk"]
    assert {e.origin for e in chunks} == {"pair", "noise", "clean"}
    for example in chunks:
        program = parse_program(example.program, Dialect(example.dialect))
        result = execute(example.window_text, program)
        assert not result.rejected
        assert result.text == by_id[example.source_id].clean  # pages are of one window
    documents = [e for e in made.examples if e.stage == "document"]
    assert {e.program for e in documents} == {"keep_doc()"}
    made.account.check()


def test_splits_share_no_domain(gold_pages):
    pages = [replace(page, url=f"https://h{i % 3}.site{i % 17}.example/{i}") for i, page in enumerate(gold_pages)]
    made = make_training_set(pages, config())
    domains = {split: {e.domain for e in made.examples if e.split == split} for split in ("train", "test")}
    assert all(domains.values())
    assert not domains["train"] & domains["test"]
    noisy = [e for e in made.examples if e.origin == "noise" and e.split == "train"]
    test_sites = {page.raw.split("\n")[0] for page in pages if page.domain in domains["test"]}
    assert test_sites
    assert not any(test_sites & set(e.window_text.split("\n")) for e in noisy), "noise of test pages in training"


def test_other_dialects(gold_pages, tmp_path):
    (tmp_path / "system.txt").write_text("Be brief.")
    student = Student(preset="ultrax", document_preset=None, system=tmp_path / "system.txt")
    made = make_training_set(gold_pages, config(student=student))
    chunks = [e for e in made.examples if e.kind == "edit"]
    assert {e.dialect for e in chunks} == {"ultrax"}
    assert chunks[0].system == "Be brief."
    assert "<lid:1>Home" in next(e.user for e in chunks if e.origin == "pair")
    (program,) = {e.program for e in chunks if e.origin == "pair"}
    assert program == "remove_lines(1, 3)\nremove_lines(7, 9)"


def test_which_of_equal_windows_stays_does_not_depend_on_the_order(gold_pages):
    mirrors = [
        replace(page, id=f"mirror/{page.id}", url=f"https://m{i}.example/") for i, page in enumerate(gold_pages)
    ]
    made = make_training_set([*gold_pages, *mirrors], config())
    again = make_training_set([*mirrors[::-1], *gold_pages], config())
    assert again.examples == made.examples
    assert made.account.windows_excluded["duplicate"] >= len(mirrors)
    texts = {split: {e.window_text for e in made.examples if e.split == split} for split in ("train", "test")}
    assert not texts["train"] & texts["test"], "no window is in two splits"


@pytest.mark.slow
def test_workers_change_nothing(gold_pages):
    alone, together = (make_training_set(gold_pages, config(workers=workers)) for workers in (1, 2))
    assert alone.examples == together.examples


def test_seed_and_order(gold_pages):
    made = make_training_set(gold_pages, config())
    assert make_training_set(gold_pages[::-1], config()).examples == made.examples
    assert make_training_set(gold_pages, config(seed=1)).examples != made.examples


def test_pages_that_give_no_label_are_counted(gold_pages):
    odd = [
        GoldPage("blank", " \n", "x"),
        GoldPage("unjudged", "Some page", None),
        GoldPage("junk", "Accept cookies\nLog in", "", "https://junk.example/"),
        GoldPage(
            "unlike", "Whales sing for hours in the sea.", "Whales sing for hours in the sea. Then ships come by too."
        ),
        GoldPage("hidden", "\n".join(["menu entry"] * 400 + ["Whales sing."]), "Whales sing."),
    ]
    made = make_training_set([*gold_pages[:5], *odd], config())
    assert made.account.pages == 10
    assert made.account.pages_excluded["pair"] == {
        "empty_page": 1, "no_clean_text": 1, "nothing_to_keep": 1, "low_agreement": 1, "removed_too_much": 1
    }  # fmt: skip
    assert made.account.pages_excluded["documents"] == {"empty_page": 1, "no_clean_text": 1, "undecided": 1}
    (junk,) = [e for e in made.examples if e.source_id == "junk"]
    assert (junk.stage, junk.kind, junk.program) == ("document", "drop", "drop_doc()")


def test_a_teacher_that_copies(server, answers, gold_pages, tmp_path):
    cleans = {page.raw: page.clean for page in gold_pages}

    def script(seen):
        shown = seen.prompt.rpartition("[doc]\n")[2].partition("\n[/doc]")[0]
        return answers(cleans[shown], chat=True)

    server.script = script
    teacher = TeacherSettings(labels=("rewrite",), base_url=server.url, model="tiny", max_concurrency=4)
    pages = [replace(page, clean=None) for page in gold_pages]
    settings = config(pairs=Pairs(enabled=False), noise=replace(TrainingDataConfig().noise, enabled=False))
    settings = replace(settings, teacher=teacher)
    made = make_training_set(pages, settings, answers=tmp_path / "answers.sqlite")
    assert {e.origin for e in made.examples} == {"teacher_rewrite"}
    assert len(made.examples) == len(gold_pages)
    for example in made.examples:
        result = execute(example.window_text, parse_program(example.program))
        assert result.text == cleans[example.window_text]
    assert made.cost.requests == len(gold_pages)
    again = make_training_set(pages, settings, answers=tmp_path / "answers.sqlite")
    assert again.examples == made.examples
    assert (again.cost.requests, again.cost.from_cache) == (0, len(gold_pages))


def test_a_teacher_that_scores_and_asks(server, answers, gold_pages, tmp_path):
    def script(seen):
        if "Educational value: n" in seen.prompt:
            return answers("Educational value: 2", chat=True)
        if "Format: n" in seen.prompt:
            return answers("Format: 4" if "number 1" in seen.prompt else "no score, sorry", chat=True)
        if "only help to move around" in seen.prompt:
            return answers("remove_lines(line_start=0, line_end=2)", chat=True)
        return answers("keep_chunk()", chat=True)

    server.script = script
    teacher = TeacherSettings(labels=("scores", "programs"), base_url=server.url, model="tiny", max_concurrency=4)
    settings = config(
        pairs=Pairs(enabled=False), noise=replace(TrainingDataConfig().noise, enabled=False), teacher=teacher
    )
    pages = [*gold_pages, GoldPage("blank", "", None)]
    made = make_training_set(pages, settings, answers=tmp_path / "answers.sqlite")
    documents = [e for e in made.examples if e.stage == "document"]
    scored = [page for page in gold_pages if "number 1" in page.raw]
    training = {e.source_id for e in documents if e.split == "train"}
    assert not training, "there is no page to drop, so the balance leaves no page to keep"
    in_training = [page for page in scored if settings.split.split_of(page.domain) == "train"]
    assert len(documents) == len(scored) - len(in_training) > 0
    assert made.account.windows_excluded["teacher_unreadable"] == len(gold_pages) - len(scored)
    chunks = [e for e in made.examples if e.stage == "chunk"]
    assert {e.program for e in chunks} == {"remove_lines(line_start=0, line_end=2)"}
    assert made.account.pages_excluded == {"teacher_scores": {"empty_page": 1}, "teacher_programs": {"empty_page": 1}}


def test_settings_that_do_not_fit(gold_pages, tmp_path):
    with pytest.raises(ValueError, match=r"set teacher\.base_url"):
        TeacherSettings(labels=("scores",))
    with pytest.raises(ValueError, match="choose programs or rewrite"):
        TeacherSettings(labels=("programs", "rewrite"), base_url="http://localhost:1/v1", model="m")
    with pytest.raises(ValueError, match="is for the document stage"):
        make_training_set(gold_pages, config(student=Student(preset="generic-doc")))
    teacher = TeacherSettings(labels=("programs",), base_url="http://localhost:1/v1", model="m")
    refinex = Student(preset="generic-chunk", document_preset=None)
    with pytest.raises(ValueError, match=r"set student\.document_preset"):
        make_training_set(gold_pages, config(student=refinex, teacher=replace(teacher, labels=("scores",))))
    (tmp_path / "system.txt").write_text("Be brief.")
    ultrax = Student(preset="ultrax", document_preset=None, system=tmp_path / "system.txt")
    with pytest.raises(ValueError, match=r"set teacher\.labels=\[rewrite\]"):
        make_training_set(gold_pages, config(student=ultrax, teacher=teacher))
    with pytest.raises(ValueError, match="two pages have the id 'page/3'"):
        make_training_set([*gold_pages, gold_pages[3]], config())
    with pytest.raises(ValueError, match=r"did you mean 'noise\.untouched'"):
        resolve(TrainingDataConfig, None, ["--noise.untouchd=0.5"])


def test_a_folder_comes_back_as_the_set(gold_pages, tmp_path):
    settings = config(teacher=TeacherSettings(base_url="http://secret.internal:1/v1", api_key_env="MY_KEY"))
    made = make_training_set(gold_pages, settings)
    report = write_training_set(made, tmp_path / "set", settings, skipped={"bad_json": 2})
    back = [e for split in ("train", "validation", "test") for e in read_training_set(tmp_path / "set", split)]
    assert back == made.examples
    assert json.loads((tmp_path / "set" / "report.json").read_text()) == json.loads(json.dumps(report))
    assert report["examples"] == sum(found["examples"] for found in report["by_split"].values()) == len(back)
    assert report["windows"] == report["examples"] + sum(report["windows_excluded"].values())
    assert report["domains_in_two_splits"] == 0
    assert report["records_skipped"] == {"bad_json": 2}
    assert report["operations"]["RemoveLines"] > 40
    assert 0.5 < report["removed_line_share"] < 0.8
    shared = (tmp_path / "set" / "README.md").read_text() + json.dumps(report)
    assert "secret.internal" not in shared
    assert "MY_KEY" not in shared


def test_the_card(gold_pages, tmp_path):
    from huggingface_hub import DatasetCard

    made = make_training_set(gold_pages, config())
    write_training_set(made, tmp_path, config())
    card = DatasetCard.load(tmp_path / "README.md")
    assert card.data.to_dict()["configs"][0]["data_files"][-1] == {"split": "test", "path": "data/test.parquet"}
    assert "hf-curation" in card.data.tags
    for words in ("| train | chunk |", "| `noise` |", "| RemoveLines |", "`surplus_keep`", "    [doc]"):
        assert words in card.text
    assert all(ORIGINS[e.origin] in card.text for e in made.examples)
    assert "license" not in card.data.to_dict(), "whose text it is, we cannot know"


def test_lone_surrogates_and_an_empty_split(tmp_path):
    page = GoldPage(
        "odd", "Menu\nA whale \ud800 sings for hours in the sea.", "A whale \ud800 sings for hours in the sea."
    )
    made = make_training_set([page], config())
    write_training_set(made, tmp_path, config())
    back = list(read_training_set(tmp_path, "train"))
    assert "A whale \ufffd sings" in back[0].window_text
    assert back[0].user.count("\ufffd") == 1
    assert list(read_training_set(tmp_path, "test")) == []


def test_a_folder_without_a_set(tmp_path):
    with pytest.raises(ValueError, match="holds no training set"):
        next(read_training_set(tmp_path, "train"))
    with pytest.raises(ValueError, match="split must be one of"):
        next(read_training_set(tmp_path, "dev"))


def test_every_reason_in_the_code_is_known():
    from pathlib import Path

    import hf_curation.refiners.training as package

    source = "".join(path.read_text() for path in Path(package.__file__).parent.glob("*.py"))
    assert all(source.count(f'"{reason}"') >= 2 for reason in EXCLUSIONS), "a reason that nothing gives"
