"""A teacher on a server that misbehaves: answers are kept, failures are not, and nothing is asked twice."""

import sqlite3

import pytest

from hf_curation.refiners.base import Draft, Stage
from hf_curation.refiners.server import ServerDown, ServerRefused, TooManyFailures
from hf_curation.refiners.training.cache import AnswerCache, request_key
from hf_curation.refiners.training.teacher import PROMPTS, TeacherCost, teacher_preset


@pytest.fixture
def preset():
    return teacher_preset("rewrite", stage=Stage.DOCUMENT, window_tokens=500, max_new_tokens=600)


@pytest.fixture
def windows(window_of):
    return [window_of(f"Page {i} about whales.") for i in range(12)]


def quoted_page(seen):
    return seen.prompt.rpartition("[doc]\n")[2].partition("\n[/doc]")[0]


def test_answers_come_back_in_order(server, answers, teacher, preset, windows):
    server.script = lambda seen: answers(quoted_page(seen).upper(), chat=True)
    drafts = teacher().ask(preset, windows)
    assert [draft.text for draft in drafts] == [window.text.upper() for window in windows]
    assert server.seen[0].body["model"] == "tiny"
    assert server.seen[0].body["max_tokens"] == 600
    assert server.seen[0].body["temperature"] == 0.0


def test_a_second_run_asks_nothing(server, answers, teacher, preset, windows):
    server.script = lambda seen: answers("copy", chat=True)
    first = teacher()
    first.ask(preset, windows)
    first.close()
    num_asked = len(server.seen)
    second = teacher()
    assert [draft.text for draft in second.ask(preset, windows)] == ["copy"] * 12
    assert len(server.seen) == num_asked == 12
    assert first.cost.requests == 12
    assert (first.cost.prompt_tokens, first.cost.output_tokens) == (12 * 7, 12 * 3)
    assert (second.cost.questions, second.cost.from_cache, second.cost.requests) == (12, 12, 0)
    assert (second.cost.cached_prompt_tokens, second.cost.prompt_tokens) == (12 * 7, 0)


def test_a_run_that_dies_goes_on_where_it_stopped(server, answers, teacher, preset, windows, reply):
    served = []

    def dies_after_eight(seen):
        if len(served) >= 8:
            return reply(status=503)
        served.append(seen)
        return answers("copy", chat=True)

    server.script, server.models_status = dies_after_eight, 503
    dying = teacher(batch_size=4, policy={"max_concurrency": 2})
    with pytest.raises(ServerDown):
        dying.ask(preset, windows)
    dying.close()
    server.script = lambda seen: answers("copy", chat=True)
    again = teacher(batch_size=4)
    assert len(again.ask(preset, windows)) == 12
    assert (again.cost.from_cache, again.cost.requests) == (8, 4)


def test_failed_answers_are_not_kept_and_asked_again(server, answers, teacher, preset, windows, reply):
    server.script = lambda seen: (
        reply(b"not json at all", status=400) if "Page 3" in seen.prompt else answers("copy", chat=True)
    )
    first = teacher(policy={"failures_allowed": 5})
    drafts = first.ask(preset, windows)
    assert [draft.finish_reason for draft in drafts].count("error") == 1
    assert first.cost.failed == 1
    first.close()
    server.script = lambda seen: answers("late copy", chat=True)
    assert teacher().ask(preset, windows)[3].text == "late copy"


def test_every_trouble_in_one_run(server, answers, teacher, preset, windows, reply):
    """429, 500, wrong JSON, a cut body, a hanging answer: each once, and every question is answered."""
    trouble = {
        "Page 0 ": reply(status=429, headers={"Retry-After": "0"}),
        "Page 1 ": reply(status=500),
        "Page 2 ": reply(b"<html>bad gateway</html>"),
        "Page 3 ": reply({"choices": []}),
        "Page 4 ": answers("half", chat=True, cut_at=10),
        "Page 5 ": reply(hang=True),
        "Page 6 ": reply(drop=True),
        "Page 7 ": answers(None, chat=True),
    }

    def script(seen):
        name = next((name for name in trouble if name in seen.prompt), None)
        return trouble.pop(name) if name else answers("copy", chat=True)

    server.script = script
    asked = teacher(policy={"timeout_s": 0.5, "breaker_failures": 50, "give_up_s": 20.0})
    assert {draft.text for draft in asked.ask(preset, windows)} == {"copy"}
    assert not trouble
    assert (asked.cost.failed, asked.cost.requests) == (0, 12 + 8)


def test_a_server_that_fails_most_ends_the_run(server, teacher, preset, windows, reply):
    server.script = lambda seen: reply(status=400)
    with pytest.raises(TooManyFailures, match="got no answer"):
        teacher().ask(preset, windows)


def test_a_wrong_key_ends_the_run_at_once(server, teacher, preset, windows, reply):
    server.script = lambda seen: reply(status=401)
    with pytest.raises(ServerRefused):
        teacher().ask(preset, windows)


def test_thoughts_are_no_part_of_an_answer(server, answers, teacher, preset, windows):
    texts = {"Page 0 ": "<think>\nA menu?\n</think>\n\ncopy", "Page 1 ": "<think>never ends", "Page 2 ": "a <think> b"}
    server.script = lambda seen: answers(next(t for name, t in texts.items() if name in seen.prompt), chat=True)
    asked = teacher(extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    assert [draft.text for draft in asked.ask(preset, windows[:3])] == ["copy", "", "a <think> b"]
    assert server.seen[0].body["chat_template_kwargs"] == {"enable_thinking": False}


def test_equal_questions_are_asked_once(server, answers, teacher, preset, window_of):
    server.script = lambda seen: answers("copy", chat=True)
    asked = teacher()
    assert len(asked.ask(preset, [window_of("same page")] * 5)) == 5
    assert (len(server.seen), asked.cost.questions) == (1, 1)


def test_cut_answers_are_kept_as_cut(server, answers, teacher, preset, windows):
    server.script = lambda seen: answers("half", finish_reason="length", chat=True)
    first = teacher()
    first.ask(preset, windows[:1])
    first.close()
    assert teacher().ask(preset, windows[:1]) == [Draft("half", "length", None, 7, 3)]
    assert len(server.seen) == 1


def test_the_cache_knows_model_and_prompt_and_no_address(server, answers, teacher, preset, windows, tmp_path):
    assert request_key({"model": "a", "messages": []}) != request_key({"model": "b", "messages": []})
    server.script = lambda seen: answers("copy", chat=True)
    first = teacher()
    first.ask(preset, windows[:1])
    first.close()
    other = teacher()
    other.ask(teacher_preset("format", stage=Stage.DOCUMENT, window_tokens=500, max_new_tokens=600), windows[:1])
    assert len(server.seen) == 2
    other.close()
    bytes_of_cache = (tmp_path / "answers.sqlite").read_bytes()
    assert b"127.0.0.1" not in bytes_of_cache


def test_without_a_cache_nothing_is_written(server, answers, teacher, preset, windows, tmp_path):
    server.script = lambda seen: answers("copy", chat=True)
    teacher(cache=None).ask(preset, windows)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and no answers of a teacher" * 40)
    with pytest.raises(ValueError, match="no cache of answers"):
        AnswerCache(path)
    assert path.read_text().startswith("these are notes")


def test_a_cache_of_another_layout_is_refused(tmp_path):
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE answers (key TEXT, answer TEXT)")
    with pytest.raises(ValueError, match="no cache of answers"):
        AnswerCache(path)


def test_a_cache_finds_thousands_of_keys(tmp_path):
    with AnswerCache(tmp_path / "a.sqlite") as cache:
        cache.put((f"key{i}", Draft(f"text {i}", "stop", None, i, 1)) for i in range(1300))
        cache.put([("lost", Draft("", "error", "timeout"))])
        found = cache.get([f"key{i}" for i in range(2000)])
        assert len(found) == len(cache) == 1300
        assert found["key1299"] == Draft("text 1299", "stop", None, 1299, 1)


def test_the_price_is_that_of_this_run():
    assert TeacherCost(prompt_tokens=2_000_000, output_tokens=500_000).price(0.5, 2.0) == pytest.approx(2.0)


@pytest.mark.parametrize("path", sorted(PROMPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_template_quotes_the_page_once(path, window_of):
    preset = teacher_preset(path.stem, stage=Stage.CHUNK, window_tokens=500, max_new_tokens=60)
    before, after = preset.user_parts
    assert before.endswith("[doc]\n")
    assert after.startswith("\n[/doc]")


def test_own_templates_take_the_place_of_ours(tmp_path):
    (tmp_path / "rewrite.txt").write_text("Copiez: {page}\n")
    options = {"stage": Stage.DOCUMENT, "window_tokens": 500, "max_new_tokens": 60, "folder": tmp_path}
    assert teacher_preset("rewrite", **options).user == "Copiez: {page}"
    (tmp_path / "format.txt").write_text("no place for it")
    with pytest.raises(ValueError, match="must hold"):
        teacher_preset("format", **options)
    with pytest.raises(ValueError, match="no prompt template"):
        teacher_preset("absent", **options)
