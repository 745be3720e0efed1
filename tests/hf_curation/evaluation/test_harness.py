"""Metadata per task, and the harness's model type against a slow twin; the latter only where lm_eval is installed."""

import json
import math

import pytest
import torch

from hf_curation.evaluation.harness import Canary, Comparison, TaskMetadata, compare, random_canary, register
from hf_curation.evaluation.harness.compare import Cell

HEAD = [1, *(byte + 3 for byte in b"URL: a.de\n\n")]


def ids_of(text):
    return [byte + 3 for byte in text.encode()]


def test_metadata_of_a_task():
    metadata = TaskMetadata.parse({"arc": "a.de", "piqa": {"url": "b.de", "year": 1999}, "plain": None})
    assert metadata.of("arc") == {"url": "a.de"}
    assert metadata.of("piqa") == {"url": "b.de", "year": 1999}
    assert metadata.of("plain") is None
    with pytest.raises(ValueError, match="no metadata for task 'copa': there are arc, piqa, plain"):
        metadata.of("copa")
    assert TaskMetadata.parse("a.de").of("anything") == {"url": "a.de"}
    assert TaskMetadata.parse(None).of("anything") is None
    assert TaskMetadata.parse({"arc": "a.de", "default": None}).of("copa") is None
    assert TaskMetadata.parse(metadata) is metadata
    with pytest.raises(ValueError, match="must be a URL, columns or null, got 3"):
        TaskMetadata.parse({"arc": 3})


def test_metadata_from_a_file(tmp_path):
    path = tmp_path / "hosts.yaml"
    path.write_text("arc_easy: a.de\ndefault: null\n")
    assert TaskMetadata.parse(path).by_task == {"arc_easy": {"url": "a.de"}, "default": None}
    path.write_text("- a.de\n")
    with pytest.raises(ValueError, match="must hold keys and values, got list"):
        TaskMetadata.parse(str(path))


def test_without_the_harness_one_line_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lm_eval.api.registry", None)
    register.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'hf-curation\[eval\]'"):
        register()


def test_a_canary_at_chance_is_quiet_and_another_sings():
    Canary(task="t", accuracy=0.27, chance=0.25, num_examples=400).check()
    loud = Canary(task="t", accuracy=0.40, chance=0.25, num_examples=400)
    assert loud.z == pytest.approx(0.15 / math.sqrt(0.25 * 0.75 / 400))
    with pytest.raises(ValueError, match=r"t: random weights score 0.400 on 400 examples, chance is 0.250 \(\+6.9"):
        loud.check()


def test_the_table():
    def cell(value):
        return Cell(metric="acc", value=value, stderr=0.01, num_examples=9)

    table = Comparison({"t": {"none": cell(0.5), "right": cell(0.625)}}, {"t": "1.0"}).markdown()
    assert table.splitlines() == [
        "| task | metric | none | right |",
        "|---|---|---|---|",
        "| t v1.0 (9) | acc | 0.500 ±0.010 | 0.625 ±0.010 |",
    ]


@pytest.fixture(scope="module")
def make_lm(model, tokenizer):
    pytest.importorskip("lm_eval")
    register.cache_clear()

    def make(**options):
        return register()(pretrained=model, tokenizer=tokenizer, **{"batch_size": 2} | options)

    return make


@pytest.fixture(scope="module")
def request_of():
    def build(kind, arguments, task="t"):
        from lm_eval.api.instance import Instance

        return Instance(kind, {}, arguments, 0, (task, 0, 1))

    return build


def slow(model, context, target):
    model.eval()
    with torch.no_grad():
        rows = model(torch.tensor([[*context, *target]])).logits[0, len(context) - 1 : -1].log_softmax(-1)
    return sum(float(rows[i, token]) for i, token in enumerate(target))


def test_contexts_carry_the_metadata_of_their_task(make_lm, model, request_of):
    lm = make_lm(metadata={"t": "a.de", "plain": None})
    cases = [("say", " it", "t"), ("say ", "it", "t"), ("", "it", "t"), ("say", " it", "plain"), ("", "it", "plain")]
    found = lm.loglikelihood([request_of("loglikelihood", case[:2], case[2]) for case in cases], disable_tqdm=True)
    for (text, continuation, task), (value, _) in zip(cases, found, strict=True):
        head = HEAD if task == "t" else [1]
        whole = text + continuation
        context = text.rstrip()
        expected = slow(model, [*head, *ids_of(context)], ids_of(whole)[len(ids_of(context)) :])
        assert value == pytest.approx(expected, rel=1e-4), (text, continuation, task)


def test_a_task_without_metadata_is_an_error(make_lm, request_of):
    with pytest.raises(ValueError, match="no metadata for task 'other'"):
        make_lm(metadata={"t": "a.de"}).loglikelihood([request_of("loglikelihood", ("a", "b"), "other")])


def test_a_long_context_loses_its_beginning_and_keeps_the_prefix(make_lm, model, request_of):
    text = "".join(chr(97 + i % 26) for i in range(80))
    ((value, _),) = make_lm(metadata="a.de").loglikelihood([request_of("loglikelihood", (text, " end"))])
    context = ids_of(text)[-(64 + 1 - len(HEAD) - 4) :]
    assert value == pytest.approx(slow(model, [*HEAD, *context], ids_of(" end")), rel=1e-4)


@pytest.mark.parametrize("length", [5, 53, 54, 130])
def test_every_rolling_window_carries_the_prefix(make_lm, model, request_of, length):
    # A text with a period of 26 letters: its first two windows differ only in where they begin to be scored, which
    # the harness's own cache of logits gets wrong.
    ids = ids_of("".join(chr(97 + i % 26) for i in range(length)))
    text = bytes(i - 3 for i in ids).decode()
    (value,) = make_lm(metadata="a.de").loglikelihood_rolling([request_of("loglikelihood_rolling", (text,))])
    room = 64 + 1 - len(HEAD)
    expected = slow(model, HEAD, ids[:room])
    for at in range(room, length, room - 1):
        expected += slow(model, [*HEAD, ids[at - 1]], ids[at : at + room - 1])
    assert value == pytest.approx(expected, rel=1e-4)


def test_guided_scores(make_lm, request_of):
    request = request_of("loglikelihood", ("say", " it"))
    values = [make_lm(metadata="a.de", guidance_scale=g).loglikelihood([request])[0][0] for g in (0.0, 1.0, 1.0001)]
    plain = make_lm(metadata=None).loglikelihood([request])[0][0]
    assert values[0] == pytest.approx(plain, rel=1e-4)
    assert values[1] == pytest.approx(values[2], rel=1e-2)
    assert values[0] != values[1]


def test_generation_carries_the_prefix_and_stops(make_lm, tokenizer, model, request_of):
    from hf_curation.evaluation import Conditioner, generate

    options = {"until": ["\n"], "max_gen_toks": 6, "temperature": 0}
    (text,) = make_lm(metadata="a.de").generate_until([request_of("generate_until", ("say", options))])
    whole = generate(
        model, Conditioner(tokenizer), "say", {"url": "a.de"}, max_new_tokens=6, do_sample=False, pad_token_id=0
    )
    assert text == whole.partition("\n")[0]
    stop = whole[2]
    options = {"until": [stop], "max_gen_toks": 6}
    (text,) = make_lm(metadata="a.de").generate_until([request_of("generate_until", ("say", options))])
    assert text == whole.partition(stop)[0]


TASK = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0}
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {"question": f"What is {i}?", "choices": [" red", " two", " big", " old"], "gold": i * 7 % 4}
        for i in range(40)
    ]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "colours.yaml").write_text(TASK.replace("FILE", str(folder / "data.jsonl")))
    return TaskManager(include_path=str(folder), include_defaults=False)


@pytest.mark.slow
def test_comparison_of_conditions(model, tokenizer, tasks):
    table = compare(
        {"none": None, "right": "a.de", "wrong": {"colours": "b.de"}},
        ["colours"],
        model_args={"pretrained": model, "tokenizer": tokenizer},
        versions={"colours": "1.0"},
        task_manager=tasks,
        bootstrap_iters=0,
    )
    assert list(table.cells["colours"]) == ["none", "right", "wrong"]
    assert {cell.num_examples for cell in table.cells["colours"].values()} == {40}
    assert table.versions == {"colours": "1.0"}
    with pytest.raises(ValueError, match=r"has version 1.0, pinned is 2.0"):
        compare(
            {"none": None},
            ["colours"],
            model_args={"pretrained": model, "tokenizer": tokenizer},
            versions={"colours": "2.0"},
            task_manager=tasks,
            limit=2,
        )


@pytest.mark.slow
def test_random_weights_are_at_chance(model, tokenizer, tasks, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (canary,) = random_canary(str(tmp_path), ["colours"], model_args={"metadata": "a.de"}, task_manager=tasks)
    assert (canary.task, canary.chance, canary.num_examples) == ("colours", 0.25, 40)
    canary.check()
