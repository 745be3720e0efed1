"""The fine-tuning recipe, from a made set to a folder that `load_refiner` reads; its settings, and what it refuses."""

import importlib
import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from hf_curation.config import resolve
from hf_curation.evaluation.gold_pages import GoldPage

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "train_refiner"
PRESET = "prox-web-chunk:plain"

_spec = spec_from_file_location("hub_of_finetuning", ROOT / "tests" / "hf_curation" / "hub" / "conftest.py")
_hub = module_from_spec(_spec)
sys.modules[_spec.name] = _hub
_spec.loader.exec_module(_hub)
hub_server = _hub.hub_server


@pytest.fixture(scope="module")
def recipe():
    """Import a module of the recipe, as running its script does."""
    sys.path.insert(0, str(RECIPE))
    yield importlib.import_module
    sys.path.remove(str(RECIPE))


@pytest.fixture(scope="module")
def training_set(tmp_path_factory):
    from hf_curation.refiners.training import TrainingDataConfig, make_training_set, write_training_set
    from hf_curation.refiners.training.settings import Student

    folder = tmp_path_factory.mktemp("set")
    student = Student(preset=PRESET, document_preset=None, window_tokens=256, max_program_tokens=64)
    config = TrainingDataConfig(student=student)
    write_training_set(make_training_set(pages(), config), folder, config)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory, make_byte_tokenizer):
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    folder, tokenizer = tmp_path_factory.mktemp("base"), make_byte_tokenizer()
    tokenizer.save_pretrained(folder)
    set_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=4096, eos_token_id=2, **shape)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def pages():
    made = []
    for n in range(40):
        clean = [f"Whale number {n} sang for {n + 2} hours in the cold water.", f"Ship {n} heard it from far away."]
        raw = [
            f"Home | Shop | Site {n}",
            f"Log in to site {n}",
            *clean,
            f"Share page {n}",
            f"Privacy policy of site {n}",
        ]
        made.append(GoldPage(f"page/{n}", "\n".join(raw), "\n".join(clean), f"https://site{n}.example/whales"))
    return made


def launch(*arguments, cwd):
    accelerate = ("-m", "accelerate.commands.launch", "--config_file", ROOT / "recipes/accelerate_configs/cpu.yaml")
    words = [sys.executable, *accelerate, RECIPE / "run.py", *arguments]
    return subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True)


def settings(training_set, base, output, **more):
    given = {
        "data.dataset": training_set,
        "model.base": base,
        "output_dir": output,
        "seq_len": 1024,
        "use_cpu": "true",
    }
    given |= {"max_steps": 3, "eval_steps": 2, "save_steps": 2, "logging_steps": 1, "gradient_accumulation_steps": 1}
    given |= {"windows": 2, "loss_windows": 4, "evaluation.max_new_tokens": 4, "model.dtype": "float32"}
    return [f"--{name}={value}" for name, value in (given | more).items()]


@pytest.mark.slow
def test_from_a_set_to_a_refiner(training_set, base, tmp_path):
    import orjson

    from hf_curation.refiners import load_refiner, refine_texts

    lines = [{"text": p.raw, "gold_text": p.clean, "url": p.url, "id": p.id} for p in pages()]
    (tmp_path / "pages.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    output = tmp_path / "run"
    more = {
        "top_layers": 2,
        "r": 2,
        "evaluation.pages": tmp_path / "pages.jsonl",
        "max_pages": 2,
        "push": "you/refiner",
    }
    done = launch(*settings(training_set, base, output, **more), "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout.strip().split("\n")[-1])
    assert summary["steps"] == 3
    assert summary["best_step"] == 2
    assert {"eval_loss", "eval_valid_programs", "eval_word_f1"} <= set(summary)
    assert "would be sent to you/refiner" in done.stderr

    final = output / "final"
    names = {path.name for path in final.iterdir()}
    assert {"adapter_model.safetensors", "refiner.json", "README.md", "train_config.yaml", "tokenizer.json"} <= names
    assert "training_args.bin" not in names
    card = (final / "README.md").read_text()
    assert "valid programs" in card
    assert "keep-all" in card
    refiner = load_refiner(str(final))
    assert refiner.name == f"{base} + {final} ({PRESET})"
    assert refiner._preset.window_tokens == 256
    assert refine_texts([pages()[0].raw], refiner)[0].num_windows == 1, "adapter and base fit together"


FROM_THE_HUB = """
import json, sys
from pathlib import Path
from huggingface_hub import HfApi
from transformers import AutoTokenizer
from hf_curation.config import resolve
from hf_curation.hub import push_training_set
from refiner_config import Config
from refiner_data import load_data, pinned

folder, base, out = sys.argv[1:]
tokenizer, seen = AutoTokenizer.from_pretrained(base), []

def start(output, *more):
    given = ["--data.dataset", "me/finetune", "--model.base", base, "--output_dir", output, "--windows", "5", *more]
    config = pinned(resolve(Config, None, given))
    data = load_data(config, tokenizer)
    seen.append([data.commit, len(data.train), len(data.asked), data.settings["student"]["window_tokens"]])

push_training_set(Path(folder), "me/finetune")
start(out + "/a")
HfApi().upload_file(path_or_fileobj=b"moved", path_in_repo="note", repo_id="me/finetune", repo_type="dataset")
start(out + "/a")
start(out + "/b")
start(out + "/c", "--data.revision", seen[0][0])
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_a_set_on_the_hub_is_read_at_one_commit(training_set, base, hub_server, tmp_path):
    environment = os.environ | hub_server.environment | {"PYTHONPATH": os.pathsep.join([str(RECIPE), str(ROOT)])}
    words = [sys.executable, "-c", FROM_THE_HUB, str(training_set), str(base), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    first, resumed, fresh, asked = json.loads(done.stdout.strip().split("\n")[-1])
    assert first == resumed == asked, "the branch moved, the run does not"
    assert fresh[0] != first[0]
    assert first[1:] == fresh[1:] == [fresh[1], 5, 256]


def test_the_files_beside_it_are_configurations(recipe):
    config_of = recipe("refiner_config").Config
    assert resolve(config_of, RECIPE / "finetune.yaml").lora.enabled
    assert resolve(config_of, RECIPE / "finetune_cpu.yaml").lora.top_layers == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lora.rr", "4"], "did you mean 'lora.r'"),
        (["--training.learning_rat", "4"], "did you mean 'training.learning_rate'"),
        (["--data.max_tokens", "5000"], "must fit data.seq_len=4096"),
        (["--dry_run"], "--push YOU/REFINER, which is not given"),
        (["--evaluation.batch_size", "0"], "must be at least 1"),
    ],
)
def test_settings_that_are_refused(recipe, arguments, message):
    with pytest.raises(ValueError, match=message):
        resolve(recipe("refiner_config").Config, RECIPE / "finetune.yaml", arguments)


def test_a_run_with_other_settings_is_not_gone_on_with(recipe, tmp_path):
    from hf_curation.config import write_yaml

    module = recipe("refiner_config")
    config = resolve(module.Config, RECIPE / "finetune_cpu.yaml")
    module.check_same_run(config, tmp_path / "config.yaml")
    write_yaml(tmp_path / "config.yaml", config)
    module.check_same_run(config, tmp_path / "config.yaml")
    more_windows = resolve(module.Config, RECIPE / "finetune_cpu.yaml", ["--windows", "8", "--push", "a/b"])
    module.check_same_run(more_windows, tmp_path / "config.yaml")
    other = resolve(module.Config, RECIPE / "finetune_cpu.yaml", ["--lora.r", "8"])
    with pytest.raises(ValueError, match=r"lora\.r=16, and now it is 8"):
        module.check_same_run(other, tmp_path / "config.yaml")


def test_the_windows_that_are_asked_are_of_all_stages(recipe):
    from types import SimpleNamespace as Row

    evenly = recipe("refiner_data").evenly
    rows = [Row(stage="chunk")] * 9 + [Row(stage="document")] * 2
    assert [row.stage for row in evenly(rows, 8)] == ["document"] * 2 + ["chunk"] * 6
    assert [row.stage for row in evenly(rows, 3)] == ["document"] + ["chunk"] * 2
    assert evenly(rows, 0) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--metric_for_best_model", "eval_document_f1"], "gives eval_loss, eval_valid_programs, eval_line_recall"),
        (["--windows", "0"], "eval_word_f1: the evaluation gives eval_loss$"),
    ],
)
def test_the_figure_that_decides_must_be_there(recipe, training_set, make_byte_tokenizer, more, message):
    module = recipe("refiner_data")
    given = ["--dataset", str(training_set), "--base", "x", *more]
    config = resolve(recipe("refiner_config").Config, None, given)
    data = module.load_data(config, make_byte_tokenizer())
    with pytest.raises(ValueError, match=message):
        module.check_metric(config, data)
    module.check_metric(resolve(type(config), None, [*given[:4], "--metric_for_best_model", "eval_loss"]), data)


def test_full_fine_tuning_has_no_adapter(recipe, base):
    module, config_of = recipe("refiner_model"), recipe("refiner_config").Config
    config = resolve(config_of, None, ["--dataset", "x", "--base", str(base), "--lora.enabled", "false"])
    model = module.make_model(config)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert module.keeps_logits(model)
    config = resolve(config_of, None, ["--dataset", "x", "--base", str(base), "--top_layers", "1"])
    trained = [name for name, parameter in module.make_model(config).named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".layers.2." in name and "lora" in name for name in trained)
    with pytest.raises(ValueError, match="the model has 3 layers"):
        module.make_model(resolve(config_of, None, ["--dataset", "x", "--base", str(base), "--top_layers", "9"]))
