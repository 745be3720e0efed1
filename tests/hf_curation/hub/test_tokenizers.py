"""Push and reload an adapted tokenizer with the Hub's own clients, against a server that speaks its protocol."""

import json
import shutil
from importlib import import_module

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.utils import get_session
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen2Config

from hf_curation.hub.tokenizers import push_tokenizer
from hf_curation.vocabulary.adapt import adapt_tokenizer
from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.embeddings import transfer_embeddings
from hf_curation.vocabulary.probes import SENTENCES
from hf_curation.vocabulary.word_runs import LLAMA3

TEXT = (
    "It was the best of times, it was the worst of times. At the end of the day the end of the world is not the end "
    "of the day. The house of the king of the hill is one of the oldest of the houses on the hill. "
)


@pytest.fixture(scope="module")
def base():
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken("<s>", special=True), AddedToken("</s>", special=True)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, show_progress=False, initial_alphabet=alphabet, special_tokens=special
    )
    tokenizer.train_from_iterator([*SENTENCES, *[TEXT] * 3], trainer)
    return ByteLevelBPE.load(tokenizer)


@pytest.fixture(scope="module")
def adapted(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted")
    (folder / "base").mkdir()
    (folder / "base" / "tokenizer.json").write_text(base.to_json(), encoding="utf-8")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "base" / "tokenizer_config.json").write_text(json.dumps(config))
    result = adapt_tokenizer(folder / "base", [TEXT] * 20, new_tokens=40, min_count=20, steps=2, step=50)
    result.save(folder / "out")
    return folder / "out"


@pytest.fixture
def repo_id(request):
    return f"me/{request.node.name.replace('[', '-').replace(']', '')[:60]}"


def small_model(kind=LlamaConfig, size=600, **options):
    torch.manual_seed(0)
    config = kind(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=1,
        **options,
    )
    return AutoModelForCausalLM.from_config(config)


def log_of(hub, method, part):
    return [line for line in hub.requests() if line["method"] == method and part in line["path"]]


def test_push_and_load_from_there(hub, adapted, repo_id):
    push = push_tokenizer(adapted, repo_id, license="llama3")
    loaded = AutoTokenizer.from_pretrained(repo_id, revision=push.commit)
    expected = ByteLevelBPE.load(adapted).to_tokenizer()
    assert push.superwords, "the probes must span words"
    for text in (*push.superwords, TEXT, *SENTENCES):
        ids = loaded(text, add_special_tokens=False)["input_ids"]
        assert ids == expected.encode(text, add_special_tokens=False).ids
    assert loaded.eos_token_id == expected.token_to_id("</s>")
    sent = {"tokenizer.json", "tokenizer_config.json", "added_tokens.tsv", "vocabulary_curve.json", "README.md"}
    assert sent <= {*HfApi().list_repo_files(repo_id)}
    assert HfApi().model_info(repo_id).private
    assert push.url == f"{hub.url}/{repo_id}/commit/{push.commit}"
    assert len(log_of(hub, "POST", f"{repo_id}/commit/")) == 1, "one push is one commit"


def test_the_card_says_what_was_done(hub, adapted, repo_id):
    push = push_tokenizer(adapted, repo_id, license="llama3")
    card = ModelCard.load(repo_id)
    manifest = json.loads((adapted / "vocabulary_manifest.json").read_text())
    assert card.data.license == "llama3"
    assert {"hf-curation", "superwords"} <= {*card.data.tags}
    assert f"| ids | {manifest['base']['size']:,} | {manifest['size']:,} |" in card.text
    assert manifest["figures"]["target_sha256"][:16] in card.text
    assert manifest["base"]["sha256"][:16] in card.text
    assert "| union |" in card.text
    assert "(this one)" in card.text
    assert "llama.cpp" in card.text
    assert "### Model" not in card.text
    assert f"{len(push.superwords)} tokens across spaces" in card.text
    assert str(adapted.parent) not in card.text, "no path of this machine"
    assert f'AutoTokenizer.from_pretrained("{repo_id}")' in card.text
    assert str(card) == push.card


def test_a_card_that_is_there_keeps_what_a_person_wrote(hub, adapted, repo_id):
    api = HfApi()
    api.create_repo(repo_id)
    own = "---\ntags: [whales]\nlicense: mit\n---\n# Whales\n\nAbout whales.\n"
    api.upload_file(path_or_fileobj=own.encode(), path_in_repo="README.md", repo_id=repo_id)
    push_tokenizer(adapted, repo_id, license="llama3")
    once = ModelCard.load(repo_id)
    push_tokenizer(adapted, repo_id, license="llama3")
    twice = ModelCard.load(repo_id)
    assert once.text.lstrip().startswith("# Whales\n\nAbout whales.")
    assert once.data.license == "mit", "a person's word stands"
    assert {"whales", "hf-curation"} <= {*once.data.tags}
    assert str(once) == str(twice), "our part is renewed, not added again"


def test_a_dry_run_asks_nobody(adapted, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", None)
    push = push_tokenizer(adapted, "me/never", dry_run=True)
    assert push.commit is None
    assert push.url is None
    assert dict(push.files)["tokenizer.json"] == (adapted / "tokenizer.json").stat().st_size
    assert "## Tokenizer" in push.card


def test_public_where_asked(hub, adapted, repo_id):
    push_tokenizer(adapted, repo_id, private=False)
    assert not HfApi().model_info(repo_id).private


@pytest.mark.parametrize(
    ("token", "owner", "message"),
    [
        ("hf_wrong", "me", r"does not take this token for me/.* \(401\)"),
        ("hf_read", "me", r"may not write to me \(403\)"),
        ("hf_test", "other", r"may not write to other \(403\)"),
    ],
)
def test_a_token_that_may_not_is_one_line(hub, adapted, monkeypatch, token, owner, message):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ValueError, match=message) as caught:
        push_tokenizer(adapted, f"{owner}/tokenizer")
    assert "\n" not in str(caught.value)


def test_a_lost_reply_to_a_commit_that_went_through_is_no_failure(hub, adapted, repo_id):
    hub.fail("POST", f"{repo_id}/commit/", 502, after=True)
    push = push_tokenizer(adapted, repo_id)
    assert push.commit == HfApi().model_info(repo_id).sha
    assert len(log_of(hub, "POST", f"{repo_id}/commit/")) == 1


def test_a_connection_that_breaks_after_the_commit_is_no_failure(hub, adapted, repo_id, monkeypatch):
    client = import_module(type(get_session()).__module__.split(".")[0])  # httpx, or its second version
    create_commit = HfApi.create_commit

    def create_and_break(self, *args, **options):
        create_commit(self, *args, **options)
        raise client.ReadTimeout("no reply")

    monkeypatch.setattr(HfApi, "create_commit", create_and_break)
    assert push_tokenizer(adapted, repo_id).commit == HfApi().model_info(repo_id).sha


def test_a_hub_that_does_not_answer_is_one_line(hub, adapted, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="the Hub does not answer") as caught:
        push_tokenizer(adapted, "me/tokenizer")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tokenizer", "a/b/c", "me/", "me/sp ace", ""])
def test_what_is_no_name_is_refused(adapted, name):
    with pytest.raises(ValueError, match="Hub"):
        push_tokenizer(adapted, name, dry_run=True)


def test_a_folder_that_is_not_whole_is_refused(adapted, tmp_path):
    with pytest.raises(ValueError, match="holds no adapted tokenizer"):
        push_tokenizer(tmp_path, "me/tokenizer", dry_run=True)
    shutil.copytree(adapted, tmp_path / "copy")
    config = tmp_path / "copy" / "tokenizer_config.json"
    config.write_text(config.read_text().replace("PreTrainedTokenizerFast", "GPT2TokenizerFast"))
    with pytest.raises(ValueError, match=r"tokenizer_config\.json is not as it was written"):
        push_tokenizer(tmp_path / "copy", "me/tokenizer", dry_run=True)


def test_with_its_model(hub, base, adapted, repo_id, tmp_path):
    model = small_model().eval()
    new = ByteLevelBPE.load(adapted)
    transfer_embeddings(model, base, new)
    model.save_pretrained(tmp_path)
    push = push_tokenizer(adapted, repo_id, model_folder=tmp_path)
    assert len(log_of(hub, "POST", f"{repo_id}/commit/")) == 1
    assert "### Model" in push.card
    loaded = AutoModelForCausalLM.from_pretrained(repo_id, revision=push.commit).eval()
    ids = torch.tensor([AutoTokenizer.from_pretrained(repo_id)("of the day")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_a_model_that_was_not_moved_is_refused(adapted, tmp_path):
    small_model(size=300).save_pretrained(tmp_path / "small")
    with pytest.raises(ValueError, match="300 rows and the tokenizer 600 ids"):
        push_tokenizer(adapted, "me/tokenizer", model_folder=tmp_path / "small", dry_run=True)
    model = small_model()
    model.config.eos_token_id = 7
    model.save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="eos_token_id is 7"):
        push_tokenizer(adapted, "me/tokenizer", model_folder=tmp_path / "other", dry_run=True)
    with pytest.raises(ValueError, match="holds no model"):
        push_tokenizer(adapted, "me/tokenizer", model_folder=adapted, dry_run=True)


def test_a_model_type_that_loses_superwords_is_refused(hub, base, adapted, repo_id, tmp_path):
    model = small_model(Qwen2Config)
    transfer_embeddings(model, base, ByteLevelBPE.load(adapted))
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model type 'qwen2' does not go with this tokenizer"):
        push_tokenizer(adapted, repo_id, model_folder=tmp_path, dry_run=True)
    HfApi().create_repo(repo_id)
    HfApi().upload_file(path_or_fileobj=tmp_path / "config.json", path_in_repo="config.json", repo_id=repo_id)
    with pytest.raises(ValueError, match="model type 'qwen2' does not go with this tokenizer"):
        push_tokenizer(adapted, repo_id)
    assert "tokenizer.json" not in HfApi().list_repo_files(repo_id)
