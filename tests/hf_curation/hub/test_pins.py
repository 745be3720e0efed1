"""What comes from the Hub is read at one commit: the one of the plan, wherever the branch has gone since."""

import json
import logging
import re

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from pyarrow import parquet
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from datatrove_steps.importance import importance_sampling
from datatrove_steps.importance.config import SelectConfig
from datatrove_steps.pipelines import refine_pipeline
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.refine_plan import RefineConfig, pin_config
from datatrove_steps.tokenize_pipeline import TokenizeConfig, tokenize_documents
from hf_curation.files.pins import Pins, commit_of, pin_url, split_revision
from hf_curation.files.sources import find_source
from hf_curation.packing.encode import load_encoder
from hf_curation.refiners.causal_lm import CausalLMRefiner
from hf_curation.refiners.load import load_refiner
from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.encoding import load_bulk_encoder

WORDS = ["whale", "sea", "ship", "harpoon", "captain", "white", "water", "sail", "deck", "storm"]


def lines(word, count=40):
    texts = (" ".join(WORDS[(i * j + j) % 10] for j in range(1, 30)) for i in range(count))
    return "".join(json.dumps({"id": f"{word}{i}", "text": f"{word} {text}."}) + "\n" for i, text in enumerate(texts))


@pytest.fixture
def crawl(hub, request):
    """A data set with 40 documents; `move` puts others in their place."""
    repo_id = "me/" + re.sub(r"[^a-z0-9]+", "-", request.node.name)[:80].strip("-")
    HfApi().create_repo(repo_id, repo_type="dataset", private=True)
    return Crawl(repo_id)


class Crawl:
    def __init__(self, repo_id):
        self.repo_id, self.url = repo_id, f"hf://datasets/{repo_id}"
        self.move("old", "data/a.jsonl")

    def move(self, word, name, delete=(), count=40):
        operations = [CommitOperationAdd(name, lines(word, count).encode()), *map(CommitOperationDelete, delete)]
        done = HfApi().create_commit(self.repo_id, operations, repo_type="dataset", commit_message=word)
        self.commit = done.oid
        return done.oid


def words_of(folder):
    """The first word of every text in a run's data."""
    tables = [parquet.read_table(path, columns=["text"]) for path in sorted((folder / "data").glob("*.parquet"))]
    return {text.split()[0] for table in tables for text in table["text"].to_pylist()}


def plan_of(folder):
    return json.loads((folder / "plan.json").read_text())


def refining(crawl, tmp_path, **options):
    config = {"input": f"{crawl.url}@main/data", "doc_refiner": None, "workers": 1, "output": str(tmp_path / "out")}
    return refine_pipeline(RefineConfig(**config | options))


def test_tasks_and_resumes_read_the_commit_of_the_plan(crawl, tmp_path, caplog):
    old = crawl.commit
    refining(crawl, tmp_path)  # planned, and killed before a task began
    crawl.move("new", "data/b.jsonl", delete=["data/a.jsonl"])
    with caplog.at_level(logging.WARNING):
        refining(crawl, tmp_path).run()
    assert words_of(tmp_path / "out") == {"old"}
    assert f"is at {crawl.commit[:8]} now; this run goes on with {old[:8]}" in caplog.text
    config = plan_of(tmp_path / "out")["config"]
    assert config["source"] == f"{crawl.url}@{old}/data"
    assert config["pins"] == {f"{crawl.url}@main": old}
    assert f"{crawl.url}@{old}/data" in (tmp_path / "out" / "README.md").read_text(), "the card names the commit"
    manifest = json.loads((tmp_path / "out" / "manifests" / "00000.json").read_text())
    assert manifest["config"]["pins"] == config["pins"]
    refining(crawl, tmp_path, overwrite=True).run()
    assert words_of(tmp_path / "out") == {"new"}


def test_a_task_that_was_planned_before_the_branch_moved(crawl, tmp_path):
    executor = refining(crawl, tmp_path, input=f"{crawl.url}/data")  # as it lies pickled for a cluster
    crawl.move("new", "data/a.jsonl")
    executor.run()
    assert words_of(tmp_path / "out") == {"old"}


def test_a_reader_in_a_pipeline_of_ones_own_is_pinned_where_it_is_made(crawl):
    reader = ReadDocuments(f"{crawl.url}/data")
    crawl.move("new", "data/a.jsonl")
    assert {doc.text.split()[0] for doc in reader.run()} == {"old"}


def test_another_revision_in_the_command_is_another_run(crawl, tmp_path):
    refining(crawl, tmp_path).run()
    crawl.move("new", "data/a.jsonl")
    with pytest.raises(ValueError, match="holds another run") as caught:
        refining(crawl, tmp_path, input=f"{crawl.url}@{crawl.commit}/data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["tag", "commit", "branch"])
def test_any_kind_of_revision(crawl, kind):
    old = crawl.commit
    if kind == "tag":
        HfApi().create_tag(crawl.repo_id, tag="v1", repo_type="dataset")
    if kind == "branch":
        HfApi().create_branch(crawl.repo_id, branch="a-branch", repo_type="dataset")
    crawl.move("new", "data/a.jsonl")
    revision = {"tag": "v1", "commit": old, "branch": "a-branch"}[kind]
    source = find_source(f"{crawl.url}@{revision}/data/*.jsonl")
    assert source.root == f"{crawl.url}@{old}/data"
    with source.open(source.files[0]) as file:
        assert file.read() == lines("old").encode()


def test_what_is_no_repository_is_left_alone(tmp_path):
    for url in ("hf://buckets/me/b/data", "s3://me/b", "/data", "data@v1/x.jsonl", "hf://datasets/squad"):
        assert pin_url(url) == url
        assert Pins().url(url) == url
    for name in ("words", str(tmp_path), "a/b/c", "https://me@host/v1", "gpt2"):
        assert Pins().model(name) == (name, None)


def test_split_revision(tmp_path, monkeypatch):
    assert split_revision("me/x@v1") == ("me/x", "v1")
    assert split_revision("me/x@refs/pr/1") == ("me/x", "refs/pr/1")
    assert split_revision("me/x", "v1") == ("me/x", "v1")
    assert split_revision("me/x@v1", "v1") == ("me/x", "v1")
    assert split_revision("prox-web@v1") == ("prox-web", "v1")
    with pytest.raises(ValueError, match="names a revision, and 'v2' is given as another; say one"):
        split_revision("me/x@v1", "v2")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me" / "x@v1").mkdir(parents=True)
    assert split_revision("me/x@v1") == ("me/x@v1", None), "a folder of that name"


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("{url}@v9/data", "hf_test", r"has no revision 'v9' \(404\)"),
        ("{url}/data", None, r"is not on the Hub, or not for this token \(401\)"),
        ("{url}/data", "hf_other", r"is not on the Hub, or not for this token \(404\)"),
        ("{url}/data", "hf_wrong", r"does not take this token .* \(401\)"),
        ("{url}-not/data", "hf_test", r"is not on the Hub"),
        ("{url}/none", "hf_test", "there is nothing at"),
    ],
)
def test_what_cannot_be_read_is_one_line(crawl, tmp_path, monkeypatch, url, token, message):
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ValueError, match=message) as caught:
        refining(crawl, tmp_path, input=url.format(url=crawl.url))
    assert "\n" not in str(caught.value)
    assert str(token) not in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_stumbles_is_asked_again(crawl, hub, tmp_path, status):
    options = {"headers": {"Retry-After": "0"}, "times": 1}
    for path in (f"{crawl.repo_id}/revision/", f"{crawl.repo_id}/tree/", f"{crawl.repo_id}/resolve/"):
        hub.fail("GET", path, status, **options)
    refining(crawl, tmp_path).run()
    assert hub.faults() == []
    assert words_of(tmp_path / "out") == {"old"}


def test_without_the_hub_a_run_goes_on_with_its_plan_and_a_new_one_says_so(crawl, monkeypatch):
    asked = f"{crawl.url}@main"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert Pins({asked: "0" * 40}).url(f"{crawl.url}/data") == f"{crawl.url}@{'0' * 40}/data"
    with pytest.raises(OSError, match="the Hub does not answer") as caught:
        Pins().url(f"{crawl.url}/data")
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["</s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([lines("old")], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def model_repo(hub, request, tokenizer_folder):
    """A repository with a tokenizer, a tag on it, and a later commit."""
    repo_id = "me/m-" + re.sub(r"[^a-z0-9]+", "-", request.node.name)[:80].strip("-")
    HfApi().create_repo(repo_id)
    HfApi().upload_folder(folder_path=tokenizer_folder, repo_id=repo_id)
    HfApi().create_tag(repo_id, tag="v1")
    commit = HfApi().model_info(repo_id).sha
    HfApi().upload_file(path_or_fileobj=b"{}", path_in_repo="tokenizer.json", repo_id=repo_id)  # breaks main
    return repo_id, commit


def test_tokenizers_by_name_and_revision(model_repo, crawl, tmp_path):
    repo_id, commit = model_repo
    named = f"{repo_id}@v1"
    assert load_encoder(named).name == named
    assert load_bulk_encoder(named).name == named
    assert ByteLevelBPE.load(named).revision == commit
    made = TokenizeConfig(input=crawl.url, output=str(tmp_path / "out"), tokenizer=named, workers=1)
    tokenize_documents(made).run()
    tokenize_documents(made).run()
    plan = plan_of(tmp_path / "out")["config"]
    assert plan["tokenizer"] == f"{repo_id}@{commit}"
    assert plan["pins"] == {f"{crawl.url}@main": crawl.commit, named: commit}
    assert json.loads((tmp_path / "out" / "store.json").read_text())["tokenizer"] == f"{repo_id}@{commit}"


def test_select_reads_pinned_corpus_target_and_tokenizer(model_repo, crawl, tmp_path):
    repo_id, commit = model_repo
    old = crawl.commit
    options = {"raw": f"{crawl.url}/data", "output": str(tmp_path / "out"), "features": repo_id, "revision": "v1"}
    options |= {"targets": [f"{crawl.url}@{old}/data/a.jsonl"], "held_out": (f"{crawl.url}/test",)}
    crawl.move("test", "test/a.jsonl", count=1)
    made = SelectConfig(**options, budget="10 documents", workers=1)
    importance_sampling(made)
    at = crawl.commit
    crawl.move("new", "data/a.jsonl")
    importance_sampling(made).run()
    plan = plan_of(tmp_path / "out")["config"]
    assert plan["source"] == f"{crawl.url}@{at}/data"
    assert plan["features"]["revision"] == commit
    assert plan["pins"] == {f"{crawl.url}@main": at, f"{crawl.url}@{old}": old, f"{repo_id}@v1": commit}
    assert words_of(tmp_path / "out") == {"old"}
    again = SelectConfig(**options | {"output": str(tmp_path / "more")}, budget="5 documents", weights_of=made.output)
    importance_sampling(again).run()
    assert words_of(tmp_path / "more") == {"old"}, "weights are of the commit that was weighed"
    importance_sampling(SelectConfig(**options, budget="10 documents", workers=1, overwrite=True))
    assert plan_of(tmp_path / "out")["config"]["source"] == f"{crawl.url}@{crawl.commit}/data"


def test_refiners_by_name_and_revision(model_repo):
    repo_id, commit = model_repo
    assert load_refiner(f"{repo_id}@v1").name == f"{repo_id}@v1 (generic-chunk)"
    pins = Pins()
    config = RefineConfig(
        input="x",
        output="y",
        doc_refiner=CausalLMRefiner(repo_id, preset="generic-doc"),
        chunk_refiner=f"{repo_id}@v1",
    )
    pinned = pin_config(config, pins)
    assert pinned.chunk_refiner == f"{repo_id}@{commit}"
    main = commit_of(repo_id)
    assert pinned.doc_refiner.revision == main != commit
    assert pins.used == {f"{repo_id}@main": main, f"{repo_id}@v1": commit}


def test_what_is_downloaded_counts_offline(model_repo, monkeypatch):
    repo_id, commit = model_repo
    load_bulk_encoder(f"{repo_id}@v1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("hf_curation.hub.errors.patiently", _offline)
    assert Pins().model(f"{repo_id}@v1") == (repo_id, commit)
    assert commit_of(repo_id, commit) == commit
    with pytest.raises(OSError, match="offline"):
        Pins().model(repo_id, "v2")


def _offline(call, what):
    from huggingface_hub.errors import OfflineModeIsEnabled

    raise OfflineModeIsEnabled("offline")
