"""`hf-curation tokenizer`: from a target to a repository, in this process and in one of its own."""

import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from hf_curation.cli.main import main
from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.probes import SENTENCES
from hf_curation.vocabulary.word_runs import LLAMA3

TEXT = (
    "At the end of the day the end of the world is not the end of the day. The house of the king of the hill is one "
    "of the oldest of the houses on the hill. "
)
SETTINGS = ["--new-tokens", "30", "--min-count", "20", "--steps", "3", "--step", "20"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken("<s>", special=True), AddedToken("</s>", special=True)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, show_progress=False, initial_alphabet=alphabet, special_tokens=special
    )
    tokenizer.train_from_iterator([*SENTENCES, *[TEXT] * 3], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    path = tmp_path_factory.mktemp("target") / "target.jsonl"
    lines = [json.dumps({"text": f"{TEXT} {i}"}) for i in range(20)]
    path.write_text("\n".join([*lines, "{broken", json.dumps({"text": None})]) + "\n")
    return path


def adapt(base, target, output, *options):
    return main(["tokenizer", "adapt", str(base), str(target), str(output), *SETTINGS, *map(str, options)])


@pytest.fixture(scope="module")
def adapted(base, target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted")
    assert adapt(base, target, folder) == 0
    return folder


def test_adapt_prints_a_table_and_writes_the_folder(base, target, tmp_path, capsys):
    assert adapt(base, target, tmp_path / "out") == 0
    shown = capsys.readouterr()
    assert "20 texts" in shown.out
    assert "bad_json 1, missing_text 1" in shown.out, "what is no text is counted"
    assert "bytes per token" in shown.out
    assert "ids:" in shown.err, "how far it is"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"tokenizer.json", "added_tokens.tsv", "fertility.json", "vocabulary_manifest.json"} <= names
    fertility = json.loads((tmp_path / "out" / "fertility.json").read_text())
    assert fertility[0]["sample"] == "target"
    assert fertility[0]["tokens_after"] < fertility[0]["tokens_before"]
    assert "Thai" in {row["sample"] for row in fertility}


@pytest.mark.slow
def test_json_is_one_object_and_equal_inputs_give_equal_files(base, target, tmp_path, capsys):
    rows = pa.table({"body": [f"{TEXT} {i}" for i in range(20)]})
    parquet.write_table(rows, tmp_path / "target.parquet")
    assert adapt(base, target, tmp_path / "one", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert adapt(base, tmp_path / "target.parquet", tmp_path / "two", "--json", "--text-key", "body") == 0
    assert facts["size"] == 500
    assert facts["num_added"] == facts["num_removed"] > 0
    assert facts["bytes_per_token"]["after"] > facts["bytes_per_token"]["before"]
    for name in ("tokenizer.json", "added_tokens.tsv", "vocabulary_curve.json", "fertility.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_finished_folder_is_not_written_over_by_accident(base, target, adapted, capsys):
    before = (adapted / "tokenizer.json").stat().st_mtime_ns
    assert adapt(base, target, adapted) == 1
    assert "holds an adapted tokenizer already" in capsys.readouterr().err
    assert (adapted / "tokenizer.json").stat().st_mtime_ns == before
    assert adapt(base, target, adapted, "--overwrite") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dry-run"], "--push-to-hub ME/NAME, which is missing"),
        (["--push-to-hub", "tokenizer"], "called you/name"),
        (["--text-key", "body"], "name its column or key with --text-key"),
        (["--min-count", "0"], "--min-count must be at least 1"),
        (["--final-size", "10"], "it takes 25 steps of 20"),
    ],
)
def test_what_is_wrong_is_one_line(base, target, tmp_path, capsys, options, message):
    assert adapt(base, target, tmp_path / "out", *options) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hf-curation tokenizer: ")
    assert message in error


@pytest.mark.slow
def test_the_model_is_moved_beside_its_tokenizer(base, target, tmp_path, capsys):
    config = LlamaConfig(
        vocab_size=500,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=0,
        eos_token_id=1,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    assert adapt(base, target, tmp_path / "out", "--model", tmp_path / "model", "--json") == 0
    moved = json.loads(capsys.readouterr().out)["model"]
    assert moved["kept"] + moved["new"] == 500
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model")
    assert len(tokenizer) == model.config.vocab_size
    assert model.config.bos_token_id == tokenizer.bos_token_id


@pytest.mark.slow
def test_check_says_what_a_tokenizer_is(adapted, tmp_path, capsys):
    shutil.copytree(adapted, tmp_path / "out")
    capsys.readouterr()
    assert main(["tokenizer", "check", str(tmp_path / "out"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["encoder"] == "gigatoken+superwords"
    assert " of the" in facts["superwords"]
    learned = (tmp_path / "out" / "added_tokens.tsv").read_text().rstrip("\n").split("\n")[1:]
    assert facts["added_tokens_found"] == len(learned) > 0
    (tmp_path / "out" / "added_tokens.tsv").unlink()
    assert main(["tokenizer", "check", str(tmp_path / "out"), "--json"]) == 0
    assert "added_tokens_found" not in json.loads(capsys.readouterr().out), "none is known, so none was tested"
    config = tmp_path / "out" / "tokenizer_config.json"
    config.write_text(config.read_text().replace("PreTrainedTokenizerFast", "GPT2TokenizerFast"))
    assert main(["tokenizer", "check", str(tmp_path / "out")]) == 1
    assert "does not read the pre-tokenizer" in capsys.readouterr().err
    assert main(["tokenizer", "check", str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.slow
def test_push_and_load_in_processes_of_their_own(hub_server, base, target, tmp_path):
    environment = {**os.environ, **hub_server.environment}
    command = ["tokenizer", "adapt", base, target, tmp_path / "out", *SETTINGS]
    starter = "import sys; from hf_curation.cli.main import main; sys.exit(main(sys.argv[1:]))"
    pushed = subprocess.run(
        [sys.executable, "-c", starter, *command, "--push-to-hub", "me/from-the-shell", "--public"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert pushed.returncode == 0, pushed.stderr
    assert f"pushed: {hub_server.url}/me/from-the-shell/commit/" in pushed.stdout
    load = (
        "from transformers import AutoTokenizer; from hf_curation.vocabulary.encoding import load_bulk_encoder\n"
        "name = 'me/from-the-shell'\n"
        "print(AutoTokenizer.from_pretrained(name)('the end of the day')['input_ids'])\n"
        "print(load_bulk_encoder(name).encode(['the end of the day'])[0].tolist())"
    )
    loaded = subprocess.run([sys.executable, "-c", load], env=environment, capture_output=True, text=True, check=False)
    expected = ByteLevelBPE.load(tmp_path / "out").to_tokenizer().encode("the end of the day").ids
    assert loaded.stdout.splitlines() == [str(expected)] * 2, loaded.stderr
