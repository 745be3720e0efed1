"""The pipeline: every stage on a corpus made here, nothing twice, and mistakes told before anything is run."""

import json
import random
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "full_pipeline"
FOLDERS = [RECIPE, ROOT / "recipes" / "meco_pretrain", ROOT / "recipes" / "benchmarks"]


def modules():
    return {path.stem for folder in FOLDERS for path in folder.glob("*.py")}


@pytest.fixture
def recipe(monkeypatch):
    """The recipe's `run` module, imported as Python does when it is run."""
    monkeypatch.setattr(sys, "path", [str(RECIPE), *sys.path])
    before = {name: sys.modules.pop(name, None) for name in modules()}
    import run

    yield run
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


SEA = "whale sea ship sail harbour tide salt wave captain fish net storm island anchor deck".split()  # noqa: SIM905
LAND = "tractor field wheat plough farmer barn cow soil harvest fence orchard apple horse mill seed".split()  # noqa: SIM905
LEAK = "the old lighthouse keeper counted seventeen grey seals on the northern rocks before breakfast every single day"


def sentence(words, draw):
    return " ".join(draw.choices(words, k=12)).capitalize() + ", and they saw it."


@pytest.fixture
def corpus(tmp_path):
    """Raw pages with navigation, a target about the sea, and held-out texts, one of which a raw page holds."""
    draw = random.Random(0)  # noqa: S311
    bar = "Skip to content\nHome\nAbout us\nContact\nLog in\nRegister\nShare on Facebook\nCookie settings\n"

    def row(kind, words, number, text=""):
        host = "sea.example" if words is SEA else "land.example"
        url = f"https://{host}/{kind}/{number}"
        body = text + "\n".join(sentence(words, draw) for _ in range(14))
        return {"id": url, "url": url, "source": host, "text": body}

    held_out = [row("test", words, i) for words in (SEA, LAND) for i in range(3)]
    held_out[0]["text"] = LEAK
    pages = [row("page", words, i, bar) for words in (SEA, LAND) for i in range(60)]
    pages[5]["text"] += "\n" + LEAK
    target = [row("target", SEA, i) for i in range(30)]
    for name, rows in (("pages", pages), ("target", target), ("held_out", held_out)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return tmp_path


def command(corpus, *more):
    sizes = "--base train:400 --new_tokens 20 --min_count 5 --step 20 --steps 10 --select.budget 40% --seq_len 64"
    model = "--model.hidden_size 16 --num_layers 1 --num_heads 2 --num_kv_heads 2 --intermediate_size 32"
    small = "--max_steps 10 --per_device_train_batch_size 2 --megabytes 0.03 --seeds 2 --compare.vocabulary 300"
    cheap = "--compare.hidden 16 --compare.layers 1 --refine.workers 1 --select.workers 1 --tokenize.workers 1"
    inputs = [f"--{name}={corpus / path}.jsonl" for name, path in INPUTS.items()]
    words = [*sizes.split(), *model.split(), *small.split(), *cheap.split(), *inputs]
    return ["--config", str(RECIPE / "config.yaml"), "--output", str(corpus / "out"), *words, *more]


INPUTS = {"documents": "pages", "target": "target", "read.held_out": "held_out"}


def stamps(folder):
    return {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "config.yaml"
    }


@pytest.mark.slow
def test_every_stage_runs_once_and_its_effect_is_reported(recipe, corpus, monkeypatch, capsys):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    recipe.main(command(corpus))
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    out = corpus / "out"
    assert facts["refine"]["in"]["documents"] == facts["refine"]["out"]["documents"] == 120
    assert facts["refine"]["out"]["chars"] < facts["refine"]["in"]["chars"], "the navigation is gone"
    assert facts["select"]["counts"]["excluded"] == 1, "the page with a held-out passage"
    import pyarrow.parquet as pq

    chosen = pq.read_table(out / "selected" / "data").to_pylist()
    assert len(chosen) == facts["select"]["out"]["documents"] == facts["tokenize"]["in"]["documents"]
    assert {row["source"] for row in chosen} == {"sea.example"}
    assert not any(LEAK in row["text"] for row in chosen)
    from hf_curation.packing import TokenStore

    store = TokenStore(out / "tokens")
    assert store.table["url"].to_pylist() == [row["url"] for row in chosen], "the address came through every stage"
    assert facts["tokenize"]["tokens"] == store.lengths_D.sum()
    assert (facts["train"]["steps"], facts["train"]["switch_step"]) == (10, 9)
    assert (out / "model" / "final" / "model.safetensors").exists()
    for scores in facts["evaluate"]["scores"].values():
        assert scores["all"]["documents"] == 6
        assert 0 < scores["all"]["without"] != scores["all"]["with_metadata"] > 0
    assert set(facts["evaluate"]["scores"]) == {"at the switch", "at the end"}
    assert list(facts["compare"]["table"]) == ["raw", "refined", "refined and selected"]
    assert facts["compare"]["bytes"] == 30_000
    report = (out / "report.html").read_text()
    assert f"{facts['refine']['in']['chars']:,}" in report
    assert "refined and selected" in report
    assert report.count("<iframe") == 3  # refining, selection, planning

    before = stamps(out)
    recipe.main(command(corpus))
    told = capsys.readouterr()
    assert [line for line in told.err.splitlines() if "finished before" in line] == [
        f"{stage}: finished before" for stage in recipe.STAGES if stage != "push"
    ]
    assert stamps(out) == before
    assert json.loads(told.out.splitlines()[-1]) == facts

    with pytest.raises(ValueError, match=r"select was run with budget '40%', and now it is '20%'"):
        recipe.main([word.replace("40%", "20%") for word in command(corpus)])
    (corpus / "pages.jsonl").write_text((corpus / "pages.jsonl").read_text() + "\n")
    with pytest.raises(ValueError, match=r"read was run with documents\.sha256"):
        recipe.main(command(corpus))


@pytest.mark.slow
def test_stages_are_left_out_and_run_alone(recipe, corpus, capsys):
    recipe.main(command(corpus, "--skip", "refine,adapt", "--features", "words", "--only", "read,select"))
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(facts) == {"output", "read", "select"}
    assert facts["select"]["in"]["documents"] == 120
    with pytest.raises(ValueError, match="train needs tokenize, which is not finished"):
        recipe.main(command(corpus, "--skip", "refine,adapt", "--features", "words", "--only", "train"))
    overwriting = command(corpus, "--skip", "refine,adapt", "--features", "words", "--only", "select", "--overwrite")
    recipe.main([word.replace("40%", "20%") for word in overwriting])
    fewer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert fewer["select"]["out"]["documents"] < facts["select"]["out"]["documents"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--select.buget", "3"], "unknown setting 'select.buget': did you mean 'select.budget'"),
        (["--only", "slect"], "there is no stage 'slect'"),
        (["--only", "select", "--skip", "select"], "both in only and in skip"),
        (["--executor", "slurm"], r"slurm\.partition and slurm\.time"),
        (["--executor", "slurm", "--slurm.partition", "cpu", "--slurm.time", "60"], "with quotes"),
        (["--skip", "adapt"], "adapt is skipped"),
        (["--temperature", "-1"], "temperature"),
        (["--output_dir", "x"], "set output"),
        (["--model.tokenizer", "x"], r"set tokenizer\.base"),
    ],
)
def test_mistakes_are_told_before_anything_is_run(recipe, corpus, words, message):
    with pytest.raises(ValueError, match=message):
        recipe.main([*command(corpus), *words])
    assert not (corpus / "out").exists()


@pytest.mark.slow
def test_models_are_compared_on_equal_bytes_of_passages(recipe):
    from pipeline_compare import passages, shuffled
    from proxy_models import up_to

    texts = ["one\ntwo\n\nthree", "é" * 30, ""]
    pieces = passages(texts, 6)
    assert pieces == ["one\ntwo", "\nthree", "é" * 30, ""]
    assert sorted(shuffled(pieces, 1)) == sorted(pieces)
    assert sum(len(piece.encode()) for piece in up_to(pieces, 20)) in (19, 20), "at most one cut character is lost"


@pytest.mark.slow
def test_on_slurm_the_same_plan_is_submitted_and_waited_for(recipe, corpus, monkeypatch):
    import pipeline_stages
    import pipeline_training

    from hf_curation.config import resolve

    words = command(
        corpus, "--executor", "slurm", "--slurm.time", "'1:00:00'", "--slurm.partition", "cpu", "--nodes", "2"
    )
    config = resolve(recipe.Config, words[1], words[2:])
    seen = {}

    class Submitted:
        def run(self):
            (corpus / "out" / "summary.json").write_text('{"documents": 3}')

    def plan(made, *, slurm):
        seen.update(slurm)
        return Submitted()

    assert pipeline_stages.run_tasks(config, plan, None, corpus / "out") == {"documents": 3}
    assert (seen["time"], seen["partition"]) == ("1:00:00", "cpu")
    training = pipeline_training.command(config, Path("train.yaml"), Path("train.log"))
    assert training[:4] == ["sbatch", "--wait", "--output=train.log", "--nodes=2"]
    assert training[-1] == "train.yaml"
    assert Path(training[-2]).name == "train.sbatch"


@pytest.mark.slow
def test_a_stage_that_failed_on_slurm_is_told_and_not_waited_for(recipe, tmp_path, monkeypatch):
    import pipeline_stages

    from hf_curation.files import status

    states = iter([True, True, False])

    class Told:
        step, state = "refine", "failed"

        def __init__(self):
            self.is_at_work = next(states)

    monkeypatch.setattr(status, "read_status", lambda folder: Told())
    with pytest.raises(RuntimeError, match="refine on Slurm: failed; see `hf-curation status"):
        pipeline_stages.wait_for(tmp_path, poll_s=0)
    assert next(states, None) is None
