"""Running again: what is finished is not done twice, and what does not belong together is refused."""

import json
import shutil

import pytest

from datatrove_steps.executors import RanksFailedError
from datatrove_steps.importance.count import CountNgrams
from datatrove_steps.importance.keep import KeepChosen
from datatrove_steps.importance.weigh import WeighDocuments


@pytest.fixture
def forbid(monkeypatch):
    """Make some steps fail when they run."""

    def forbid(*steps):
        for step in steps:
            monkeypatch.setattr(step, "run", lambda *_, **__: pytest.fail("ran again"))

    return forbid


def test_a_finished_run_does_nothing(select, forbid, contents):
    before = contents(select(tasks=2))
    forbid(CountNgrams, WeighDocuments, KeepChosen)
    assert contents(select(tasks=2)) == before


def test_a_finished_run_stays_finished_without_its_weights(select, forbid):
    shutil.rmtree(select() / "weights")
    forbid(CountNgrams, WeighDocuments, KeepChosen)
    select()


def test_another_budget_scores_nothing_again(select, forbid, rows, contents):
    first = select("first", tasks=3)
    fresh = select("fresh", tasks=3, budget="30%", temperature=0.05, seed=3, general_share=0.1)
    forbid(CountNgrams, WeighDocuments)
    again = select("again", budget="30%", temperature=0.05, seed=3, general_share=0.1, weights_of=str(first))
    assert rows(again) == rows(fresh)
    assert not (again / "weights").exists()
    found, expected = contents(again), contents(fresh)
    assert found["evidence.json"] == expected["evidence.json"]
    assert found["choice.json"] == expected["choice.json"]
    assert {name for name in found if name.startswith(("data", "counts/kept"))} == {
        name for name in expected if name.startswith(("data", "counts/kept"))
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.5}, "alpha was 1.0 and is 0.5"),
        ({"buckets": 500}, "features.num_buckets was 10000 and is 500"),
        ({"tasks": 4}, "number of tasks was 2 and is 4"),
        ({"raw": "raw.parquet"}, "raw was .* and is"),
        ({"limit": 100}, "limit was None and is 100"),
    ],
)
def test_weights_of_another_selection_are_refused(select, options, message):
    first = select("first", tasks=2)
    with pytest.raises(ValueError, match=message):
        select("second", weights_of=str(first), **options)


def test_weights_of_nothing(select, tmp_path):
    with pytest.raises(ValueError, match="holds no selection"):
        select(weights_of=str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.3}, "temperature was 0.03 and is 0.3"),
        ({"tasks": 3}, "number of tasks was 2 and is 3"),
        ({"budget": "20%"}, "budget was '10% tokens' and is .*with --weights-of .* nothing is weighed again"),
        ({"raw": "raw.parquet"}, "source was 'raw.jsonl' and is 'raw.parquet'"),
        ({"targets": "law.jsonl"}, "target target"),
    ],
)
def test_another_plan_is_refused_with_the_difference(select, corpus, options, message):
    select(tasks=2)
    if "targets" in options:
        options = {"targets": {"target": str(corpus / options["targets"])}}
    with pytest.raises(ValueError, match=message):
        select(**{"tasks": 2, **options})


def test_a_changed_input_is_refused(select, corpus, tmp_path):
    shutil.copy(corpus / "raw.jsonl", tmp_path / "raw.jsonl")
    select(raw=tmp_path / "raw.jsonl")
    with (tmp_path / "raw.jsonl").open("a") as file:
        file.write(json.dumps({"id": "new", "text": "one more"}) + "\n")
    with pytest.raises(ValueError, match=r"input file raw\.jsonl has changed"):
        select(raw=tmp_path / "raw.jsonl")
    select(raw=tmp_path / "raw.jsonl", overwrite=True)


def unfinish(folder, *stages):
    """Take back the end of a run, so that later passes run again."""
    (folder / "summary.json").unlink()
    for stage in stages:
        shutil.rmtree(folder / "manifests" / stage)
    for path in (folder / "manifests").glob("*.json"):
        path.unlink()


def test_a_stranger_among_the_weights_is_refused(select):
    folder = select(tasks=2)
    unfinish(folder, "choose")
    shutil.copy(folder / "weights" / "00000.parquet", folder / "weights" / "00002.parquet")
    with pytest.raises(RanksFailedError, match=r"00002\.parquet is in no manifest"):
        select(tasks=2)


def test_changed_weights_are_refused(select):
    folder = select(tasks=2)
    unfinish(folder, "choose")
    path = folder / "weights" / "00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RanksFailedError, match="was changed after it was written"):
        select(tasks=2)


def test_a_choice_by_other_weights_is_refused(select):
    folder, other = select(tasks=2), select("other", tasks=2, alpha=0.3)
    unfinish(folder)
    for name in ("weights/00001.parquet", "manifests/weigh/00001.json"):
        shutil.copy(other / name, folder / name)
    # The manifest names another plan: the rank is weighed again, and then all is as it was.
    select(tasks=2)
    unfinish(folder)
    choice = (folder / "choice.json").read_text()
    first, second = json.loads(choice)["weights_sha256"]
    (folder / "choice.json").write_text(choice.replace(first, "#").replace(second, first).replace("#", second))
    with pytest.raises(RanksFailedError, match=r"choice\.json was changed after it was written"):
        select(tasks=2)


def test_weights_and_documents_are_matched_by_id(select, monkeypatch):
    folder = select(tasks=2)
    unfinish(folder)
    import datatrove_steps.importance.texts as texts

    true_id = texts.own_id
    monkeypatch.setattr(texts, "own_id", lambda record, key: true_id(record, key).replace("d7", "d_7"))
    with pytest.raises(RanksFailedError, match="document 'd_7' stands where 'd7' was weighed"):
        select(tasks=2)
    assert not (folder / "summary.json").exists()
    assert not list((folder / "data").glob("*.part"))


def test_a_step_serves_several_ranks_in_turn(corpus, tmp_path, contents):
    """Slurm's tasks_per_job > 1 reuses step objects."""
    from datatrove_steps.importance import SelectConfig, importance_sampling

    def executors(name):
        config = SelectConfig(
            raw=str(corpus / "raw.jsonl"),
            output=str(tmp_path / name),
            targets=str(corpus / "target.jsonl"),
            budget="10%",
            tasks=3,
            workers=1,
        )
        last = importance_sampling(config)
        chain = [last]
        while chain[0].depends is not None:
            chain.insert(0, chain[0].depends)
        return last, chain

    executors("normal")[0].run()
    for executor in executors("reused")[1]:
        for rank in range(executor.tasks):
            list(executor.pipeline[0].run(None, rank, executor.tasks))
    assert contents(tmp_path / "reused") == contents(tmp_path / "normal")


def test_a_wrong_number_of_tasks_is_an_error(corpus, tmp_path):
    from datatrove_steps.importance import SelectConfig, importance_sampling

    config = SelectConfig(
        raw=str(corpus / "raw.jsonl"), output=str(tmp_path / "out"), targets=str(corpus / "target.jsonl"), tasks=2
    )
    executor = importance_sampling(config)
    while executor.depends is not None:
        executor = executor.depends
        with pytest.raises(ValueError, match=r"planned for \d tasks and launched with 5"):
            list(executor.pipeline[0].run(None, 0, 5))
