"""A folder of documents becomes a store by one call; again, elsewhere, after a failure, and what is refused."""

import json

import pytest
from transformers import AutoTokenizer

from datatrove_steps import LocalRanks, RanksFailedError, TokenizeConfig, tokenize_documents
from datatrove_steps.tokenize import TokenizeDocuments
from hf_curation.cli.main import main
from hf_curation.files.atomic import PartFile
from hf_curation.packing import TokenStore
from hf_curation.packing.encode import load_encoder
from trainer_callbacks import MeCoDataset


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory, make_byte_tokenizer):
    folder = tmp_path_factory.mktemp("tokenizer")
    make_byte_tokenizer().save_pretrained(folder)
    return str(folder)


def record(i):
    url = f"https://h{i % 4}.example/{i}"
    row = {"id": f"p{i}", "text": f"Page {i} </s> hällo {'again ' * (i % 7)}", "url": url, "n": i, "nest": {"a": [i]}}
    return row | ({"n": "a word where numbers were"} if i == 290 else {})


@pytest.fixture
def pages(tmp_path):
    """300 documents, one of them with an odd value beyond the sample of columns, and two that are none."""
    lines = [json.dumps(record(i)) for i in range(300)]
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join([*lines[:7], "not JSON", '{"id": "x", "text": " "}', *lines[7:]]) + "\n")
    return path


@pytest.fixture
def config(tmp_path, pages, tokenizer):
    def make(output="store", **options):
        return TokenizeConfig(
            **{"input": str(pages), "output": str(tmp_path / output), "tokenizer": tokenizer, "workers": 1} | options
        )

    return make


@pytest.mark.parametrize("tasks", [1, 3])
def test_every_document_is_in_the_store_or_accounted_for(config, tmp_path, tokenizer, tasks):
    tokenize_documents(config(tasks=tasks)).run()
    store = TokenStore(tmp_path / "store")
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    store.check_tokenizer(loaded)
    rows = {row["id"]: row for row in map(store.metadata, range(len(store)))}
    assert len(rows) == len(store) == 300
    assert len(store.shards) == tasks
    for i in range(len(store)):
        row = record(int(store.metadata(i)["id"][1:]))
        ids = loaded.encode(row["text"], add_special_tokens=False, split_special_tokens=True)
        assert store.tokens(i).tolist() == ids
    assert rows["p3"] == {"id": "p3", "n": 3, "url": "https://h3.example/3"}, "nested values are no columns"
    assert rows["p290"]["n"] is None
    summary = json.loads((tmp_path / "store/summary.json").read_bytes())
    assert summary["documents"] == {"in": 302, "tokenized": 300, "dropped": 0, "quarantined": 2}
    assert summary["quarantined"] == {"bad_json": 1, "empty_text": 1}
    assert summary["misfits"] == {"n": 1}
    assert summary["tokens"] == int(store.lengths_D.sum())
    assert len(MeCoDataset(store, loaded, seq_len=128, samples_per_step=2)) > 10


def test_again_does_nothing_and_elsewhere_gives_equal_bytes(config, tmp_path):
    for name in ("a", "b"):
        tokenize_documents(config(name, tasks=2)).run()
    files = ("plan.json", "store.json", "summary.json", "encoder/tokenizer.json", "manifests/00001.json")
    for name in (*files, "tokens/00000.arrow", "tokens/00001.arrow"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*.arrow")}
    tokenize_documents(config("a", tasks=2)).run()
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_a_shard_that_is_gone_is_made_again_alone(config, tmp_path):
    tokenize_documents(config(tasks=2)).run()
    shards = [tmp_path / f"store/tokens/0000{rank}.arrow" for rank in (0, 1)]
    before = shards[1].read_bytes(), shards[0].stat().st_mtime_ns
    shards[1].unlink()
    executor = tokenize_documents(config(tasks=2))
    with pytest.raises(ValueError, match="is no token store"):
        TokenStore(tmp_path / "store")
    executor.run()
    assert (shards[1].read_bytes(), shards[0].stat().st_mtime_ns) == before
    assert len(TokenStore(tmp_path / "store")) == 300


def test_a_task_that_fails_publishes_nothing_and_is_run_again(config, tmp_path, monkeypatch):
    write = TokenizeDocuments._write

    def failing(self, batch, *rest):
        if any(doc.id == "p200" for doc in batch):
            raise RuntimeError("power cut")
        return write(self, batch, *rest)

    monkeypatch.setattr(TokenizeDocuments, "_write", failing)
    with pytest.raises(RanksFailedError, match="power cut"):
        tokenize_documents(config(tasks=3, batch_size=16)).run()
    left = {path.name for path in (tmp_path / "store/tokens").iterdir()}
    assert len(left) < 3
    assert not any(name.endswith(".part") for name in left)
    monkeypatch.undo()
    tokenize_documents(config(tasks=3, batch_size=16)).run()
    assert len(TokenStore(tmp_path / "store")) == 300


def test_another_run_is_refused_or_replaces_it(config, tmp_path, make_byte_tokenizer):
    tokenize_documents(config(columns=["url"])).run()
    other = tmp_path / "other-rules"
    changed = make_byte_tokenizer()
    changed.backend_tokenizer.pre_tokenizer.add_prefix_space = True
    changed.save_pretrained(other)
    for options, message in (
        ({"columns": ["url", "n"]}, "columns.n was None and is 'int64'"),
        ({"columns": ["url"], "tasks": 5}, "number of tasks was 1 and is 5"),
        ({"columns": ["url"], "tokenizer": str(other)}, "tokenizer_sha256 was"),
    ):
        with pytest.raises(ValueError, match=message):
            tokenize_documents(config(**options))
    (tmp_path / "store/prefixes").mkdir()
    tokenize_documents(config(columns=["n"], overwrite=True)).run()
    assert TokenStore(tmp_path / "store").metadata(3) == {"id": "p3", "n": 3}
    assert not (tmp_path / "store/prefixes").exists()


def test_a_file_of_nobody_is_noticed(config, tmp_path):
    executor = tokenize_documents(config())
    part = PartFile(tmp_path / "store/tokens/00009.arrow")
    part.publish()
    with pytest.raises(RanksFailedError, match=r"tokens/00009\.arrow .* is in no manifest"):
        executor.run()


def test_what_is_wrong_is_said_before_anything_runs(config, tmp_path):
    with pytest.raises(ValueError, match="the input has no column 'host'; it has n, nest, url"):
        tokenize_documents(config(columns=["host"]))
    with pytest.raises(ValueError, match="tokenizer '/nowhere' cannot be loaded"):
        tokenize_documents(config(tokenizer="/nowhere"))
    with pytest.raises(ValueError, match="slurm needs partition"):
        tokenize_documents(config(), slurm={"time": "1:00:00"})
    with pytest.raises(ValueError, match="no local folder"):
        TokenizeConfig(input="x", output="s3://bucket/store", tokenizer="t")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        config(batch_size=0)
    assert not (tmp_path / "store").exists()


def test_on_slurm_by_one_argument(config):
    slurm = {"time": "1:00:00", "partition": "cpu", "venv_path": "/venv/bin/activate"}
    finish = tokenize_documents(config(tasks=4), slurm=slurm)
    ranks = finish.depends
    assert (type(ranks).__name__, ranks.tasks, ranks.job_name) == ("SlurmRanks", 4, "tokenize")
    assert (finish.tasks, finish.job_name) == (1, "tokenize-finish")
    assert isinstance(tokenize_documents(config(tasks=4)), LocalRanks)


def test_a_saved_encoder_needs_no_transformers_and_encodes_the_same(config, tmp_path, tokenizer):
    tokenize_documents(config())
    saved, loaded = load_encoder(str(tmp_path / "store/encoder")), load_encoder(tokenizer)
    texts = ["plain", "with </s> and <s>", "", "häßlich\n\n日本"]
    slow = load_encoder(tokenizer, backend="plain")
    for one in (saved, loaded):
        assert [ids.tolist() for ids in one.encode(texts)] == [ids.tolist() for ids in slow.encode(texts)]
    assert (saved.name, saved.vocabulary_sha256, saved.max_token_id, saved.sha256) == (
        loaded.name,
        loaded.vocabulary_sha256,
        loaded.max_token_id,
        loaded.sha256,
    )


def test_a_wrong_text_key_is_told(pages, tmp_path, tokenizer, capsys):
    command = ["tokenize", str(pages), str(tmp_path / "store"), "--tokenizer", tokenizer, "--workers", "1"]
    assert main([*command, "--text-key", "body"]) == 0
    hints = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Hint")]
    assert hints == ["Hint: no record had a text; name its column or key with --text-key"]


def test_documents_without_metadata(config, tmp_path):
    (tmp_path / "bare.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    tokenize_documents(config(input=str(tmp_path / "bare.jsonl"))).run()
    assert TokenStore(tmp_path / "store").lengths_D.tolist() == [3, 3]


def test_the_command(pages, tmp_path, tokenizer, capsys):
    command = ["tokenize", str(pages), str(tmp_path / "store"), "--tokenizer", tokenizer, "--workers", "1"]
    assert main([*command, "--columns", "url,n"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert ["tokenized", "300"] in lines
    assert ["columns", "n,", "url"] in lines or ["columns", "url,", "n"] in lines
    assert "MeCoDataset(" in err
    assert main([*command, "--columns", "url,n", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"]["tokenized"] == 300
    assert main([*command, "--columns", "url"]) == 1
    assert "holds another run" in capsys.readouterr().err
