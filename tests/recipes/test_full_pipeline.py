"""The pipeline: every stage on a corpus made here, nothing twice, and mistakes told before anything is run."""

import gzip
import json
import random
import sys
from dataclasses import replace
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

    assert "Held-out bits per byte of 6 documents" in (out / "model" / "final" / "README.md").read_text()
    recipe.main([*command(corpus), "--only", "push", "--namespace", "me", "--dry_run"])
    sent = json.loads((out / "stages" / "push.json").read_text())["facts"]["sent"]
    told = capsys.readouterr().err
    assert all(f"would go to {name}" in told for name in sent)
    assert set(sent) == {f"me/full-pipeline-{name}" for name in ("refined", "selected", "tokenizer", "model")}
    assert all(one["files"] > 3 and one["commit"] is None for one in sent.values())

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
def test_a_shard_that_is_left_out_is_left_out_of_all_stages(recipe, corpus):
    """Another number of them is no other setting: what is made of the shards that can be read stays as it is."""
    from pipeline_config import Config
    from pipeline_paths import Paths
    from pipeline_stages import texts_after

    pages = (corpus / "pages.jsonl").rename(corpus / "all.jsonl")
    crawl = corpus / "pages.jsonl"
    crawl.mkdir()
    pages.rename(crawl / "all.jsonl")
    (crawl / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "Whales sing."}\n' * 99)[:-9])
    for number in ("1", "2"):
        recipe.main([*command(corpus), "--only", "read,refine", "--refine.allow_bad_shards", number])
    assert json.loads((corpus / "out/refined/summary.json").read_bytes())["bad_shards"] == {"cut.jsonl.gz": "damaged"}
    read = replace(Config().read, documents=str(crawl), target="target.jsonl")
    config = Config(output=corpus / "out", read=read, refine={"allow_bad_shards": 1})
    assert len(list(texts_after("read", config, Paths(config)))) == 120


@pytest.mark.slow
def test_models_are_compared_on_equal_bytes_of_passages(recipe):
    from pipeline_compare import passages, shuffled
    from proxy_models import up_to

    texts = ["one\ntwo\n\nthree", "é" * 30, ""]
    pieces = passages(texts, 6)
    assert pieces == ["one\ntwo", "\nthree", "é" * 30, ""]
    assert sorted(shuffled(pieces, 1)) == sorted(pieces)
    assert sum(len(piece.encode()) for piece in up_to(pieces, 20)) in (19, 20), "at most one cut character is lost"


class Told:
    """What `hf-curation status` would say."""

    step, state = "refine", "failed"

    def __init__(self, *, is_at_work, has_queue=True):
        self.is_at_work, self.has_queue = is_at_work, has_queue


@pytest.fixture
def on_slurm(recipe, corpus):
    """The configuration of a run on a cluster."""
    from hf_curation.config import resolve

    cluster = {"executor": "slurm", "slurm.time": "'1:00:00'", "slurm.partition": "cpu", "nodes": "2"}
    words = command(corpus, *(word for key, value in cluster.items() for word in (f"--{key}", value)))
    return resolve(recipe.Config, words[1], words[2:])


@pytest.mark.slow
@pytest.mark.parametrize("is_in_queue", [False, True])
def test_on_slurm_a_plan_is_submitted_once_and_waited_for(is_in_queue, on_slurm, corpus, monkeypatch):
    import pipeline_stages

    from hf_curation.files import status

    seen, submitted = {}, []
    monkeypatch.setattr(status, "read_status", lambda _: Told(is_at_work=is_in_queue))
    monkeypatch.setattr(pipeline_stages, "wait_for", lambda out: (out / "summary.json").write_text('{"documents": 3}'))

    class Planned:
        def run(self):
            submitted.append(1)

    def plan(made, *, slurm):
        seen.update(slurm)
        (corpus / "out").mkdir()
        return Planned()

    assert pipeline_stages.run_tasks(on_slurm, plan, None, corpus / "out") == {"documents": 3}
    assert (seen["time"], seen["partition"]) == ("1:00:00", "cpu")
    assert len(submitted) == (not is_in_queue), "jobs of a launch that was killed are waited for"


@pytest.mark.slow
def test_on_slurm_training_is_a_job_of_its_script(on_slurm, monkeypatch, tmp_path):
    from dataclasses import replace

    import pipeline_training

    training = pipeline_training.command(on_slurm, Path("train.yaml"), Path("train.log"))
    assert training[:2] == ["sbatch", "--wait"]
    assert {"--dependency=singleton", "--output=train.log", "--nodes=2"} < set(training)
    assert Path(training[-2]).name == "train.sbatch"
    assert training[-1] == "train.yaml"
    other = pipeline_training.command(on_slurm, Path("other.yaml"), Path("train.log"))
    names = [next(word for word in words if word.startswith("--job-name=")) for words in (training, other)]
    assert names[0] != names[1], "other runs do not wait for this one"
    assert "ACCELERATE_CONFIG" not in pipeline_training.environment_of(on_slurm)
    chosen = replace(on_slurm, train=replace(on_slurm.train, accelerate_config=tmp_path / "x.yaml"))
    environment = pipeline_training.environment_of(chosen)
    assert environment["ACCELERATE_CONFIG"] == str(tmp_path / "x.yaml")
    assert environment["PATH"].startswith(str(Path(sys.prefix, "bin")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("KeyError: 'x'\nsubprocess.CalledProcessError: Command [...]\nsrun: error: n1: Exited\n", "KeyError: 'x'"),
        ("run.py: unknown setting\nsubprocess.CalledProcessError: Command\n", "run.py: unknown setting"),
        (
            "slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED DUE TO TIME LIMIT ***\nsrun: error: n1: task 0: Killed\n",
            "JOB 1 ON n1 CANCELLED DUE TO TIME LIMIT",
        ),
        ("", "it wrote nothing"),
    ],
)
def test_what_ended_a_training_is_told(recipe, tmp_path, log, cause):
    from pipeline_training import cause_in

    before = "ValueError: of an earlier launch\n"
    (tmp_path / "train.log").write_text(before + log)
    assert cause_in(tmp_path / "train.log", len(before)) == cause


@pytest.mark.slow
def test_a_stage_that_failed_on_slurm_is_told_and_not_waited_for(recipe, tmp_path, monkeypatch):
    import pipeline_stages

    from hf_curation.files import status

    ended = {"is_at_work": False}
    states = iter([{"is_at_work": True}, ended, {"is_at_work": False, "has_queue": False}, ended, ended])
    monkeypatch.setattr(status, "read_status", lambda folder: Told(**next(states)))
    with pytest.raises(RuntimeError, match="refine on Slurm: failed; see `hf-curation status"):
        pipeline_stages.wait_for(tmp_path, poll_s=0)
    assert next(states, None) is None, "seen twice in a row, since a file may be seen late"
