"""Cards say what a run was, and keep what was there; a push reads the old card first."""

from dataclasses import replace

import pytest
from huggingface_hub import HfApi, ModelCard

from hf_curation.hub import ConditionedModel, conditioned_model_card, push_model
from hf_curation.metadata import parse_template

FACTS = ConditionedModel(
    schedule="cooldown",
    steps=20,
    switch_step=18,
    rows_per_step=8,
    seq_len=256,
    tokens=40_953,
    prefix_tokens=1_089,
    prefix=parse_template().describe(),
    loss_on_metadata="masked",
    has_bos=True,
    documents="pages.jsonl",
    cooldown_documents="new.jsonl",
    data_fingerprint="0123456789abcdef" * 4,
    plan="split",
    seed=42,
    num_parameters=556_704,
    bits_per_byte={
        "20": {"with_metadata": 1.2, "without": 1.25, "documents": 11},
        "18": {"with_metadata": 1.3, "without": 1.5, "documents": 11},
    },
    license="apache-2.0",
)


def test_a_new_card():
    text = str(conditioned_model_card(FACTS, name="you/whale"))
    assert text.startswith("---\n")
    assert "license: apache-2.0" in text
    assert "# you/whale" in text
    assert "| conditioned | 0 to 17 | `pages.jsonl` | every document that has them |" in text
    assert "| cooldown | 18 to 19 | `new.jsonl` | none |" in text
    assert r"Template `'URL: {host}\n\n'`, fields `host:url`" in text
    assert "not trained (labels -100), behind BOS" in text
    assert text.index("| 18 | 1.3000 | 1.5000 |") < text.index("| 20 | 1.2000 | 1.2500 |")
    assert "data fingerprint `0123456789abcdef`" in text


@pytest.mark.parametrize(
    ("changes", "expected", "unexpected"),
    [
        ({"schedule": "always", "switch_step": 20}, "no phase without metadata prepared it", "| cooldown |"),
        (
            {"schedule": "mix", "switch_step": 20},
            "| mix | 0 to 19 | `pages.jsonl` | a share of the documents |",
            "prepared",
        ),
        ({"schedule": "never", "switch_step": 20}, "| never | 0 to 19 | `pages.jsonl` | none |", "| cooldown |"),
        ({"cooldown_documents": None}, "| cooldown | 18 to 19 | `pages.jsonl`, other documents | none |", "new.jsonl"),
        ({"loss_on_metadata": "appended"}, "behind the document, predicted from it", "-100"),
        ({"has_bos": False}, "not trained (labels -100), and is encoded", "behind BOS"),
        ({"bits_per_byte": {}}, "## Use", "bits per byte"),
    ],
)
def test_the_card_follows_the_run(changes, expected, unexpected):
    text = str(conditioned_model_card(replace(FACTS, **changes), name="whale"))
    assert expected in text
    assert unexpected not in text


def test_the_code_of_the_card_runs_as_far_as_the_model():
    text = str(conditioned_model_card(FACTS, name="you/whale"))
    code = text.partition("```python\n")[2].partition("```")[0]
    compile(code, "card", "exec")
    assert r"Conditioner(tokenizer, 'URL: {host}\n\n')" in code


def test_what_people_wrote_stays():
    old = ModelCard("---\ntags: [whales]\nlicense: mit\n---\n# Mine\n\nAbout whales.\n")
    once = conditioned_model_card(FACTS, name="you/whale", existing=old)
    once.text += "\nThanks to all.\n"
    again = str(conditioned_model_card(replace(FACTS, steps=40), name="you/whale", existing=ModelCard(str(once))))
    assert "license: mit" in again
    for tag in ("whales", "meco", "hf-curation"):
        assert again.count(f"- {tag}\n") == 1
    assert "About whales." in again
    assert "Thanks to all." in again
    assert again.count("## Training") == 1
    assert "40 steps of 8 rows" in again
    assert "20 steps of 8 rows" not in again


@pytest.mark.parametrize("card", [None, "---\ntags: [whales]\n---\nAbout whales.\n"])
def test_a_push_is_one_commit_with_the_card(hub, tmp_path, card):
    repo_id = f"me/whale-{'new' if card is None else 'there'}"
    if card is not None:
        HfApi().create_repo(repo_id)
        HfApi().upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo_id)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "training_args.bin").write_bytes(b"a pickle")
    before = len(HfApi().list_repo_commits(repo_id)) if card else 1
    done = push_model(tmp_path, repo_id, FACTS)
    assert len(HfApi().list_repo_commits(repo_id)) == before + 1
    assert {*HfApi().list_repo_files(repo_id)} == {".gitattributes", "README.md", "model.safetensors"}
    assert "## The prefix" in done.card
    assert ("About whales." in done.card) == (card is not None)
    assert ModelCard.load(repo_id).content == done.card
    assert done.private == (card is None), "a repository that is there stays as it is"


def test_weights_of_an_earlier_push_do_not_stay_beside_the_new_ones(hub, tmp_path):
    for name in (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ):
        (tmp_path / name).write_bytes(b"old")
    push_model(tmp_path, "me/shrunk", FACTS)
    for path in tmp_path.glob("model*"):
        path.unlink()
    (tmp_path / "model.safetensors").write_bytes(b"new")
    push_model(tmp_path, "me/shrunk", FACTS)
    assert {*HfApi().list_repo_files("me/shrunk")} == {".gitattributes", "README.md", "model.safetensors"}


def test_a_model_with_a_card_of_its_own(hub, tmp_path):
    ours = conditioned_model_card(FACTS, name="whale").content
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "README.md").write_text(ours)
    push_model(tmp_path, "me/own-card")
    assert ModelCard.load("me/own-card").content == ours
    HfApi().upload_file(path_or_fileobj=b"# Mine\n\nAbout whales.\n", path_in_repo="README.md", repo_id="me/own-card")
    text = push_model(tmp_path, "me/own-card").card
    assert "# Mine\n\nAbout whales." in text
    assert "## The prefix" in text
    assert "- meco" in text


def test_a_folder_without_a_model_is_not_pushed(tmp_path):
    with pytest.raises(ValueError, match="holds no model"):
        push_model(tmp_path, "you/whale", FACTS)


def test_a_push_to_a_hub_and_one_that_may_not(hub, tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    done = push_model(tmp_path, "me/whale", FACTS)
    assert done.url == f"{hub.url}/me/whale/commit/{done.commit}"
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    with pytest.raises(ValueError, match=r"may not write to me \(403\)"):
        push_model(tmp_path, "me/whale", FACTS)
