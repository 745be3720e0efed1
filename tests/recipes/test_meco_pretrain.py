"""The recipe: its files hold the paper's figures, a tiny run ends with model, card and scores, and resumes."""

import json
import logging
import sys
from pathlib import Path

import pytest

from hf_curation.config import resolve

RECIPE = Path(__file__).parents[2] / "recipes" / "meco_pretrain"
MODULES = ("byte_bpe", "meco_config", "meco_data", "held_out_scores", "run")


@pytest.fixture
def recipe(monkeypatch):
    """The recipe's `run` module, imported as Python does when it is run."""
    monkeypatch.syspath_prepend(str(RECIPE))
    before = {name: sys.modules.pop(name, None) for name in MODULES}
    import run

    yield run
    for name in MODULES:
        sys.modules.pop(name, None)
        if before[name] is not None:
            sys.modules[name] = before[name]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), [("600m", (24, 1024, 4096, 16, 16)), ("1.6b", (24, 2048, 5504, 16, 8))])
def test_the_papers_hyper_parameters(recipe, name, shape):
    from transformers import LlamaConfig

    config = resolve(recipe.Config, RECIPE / f"config_{name}.yaml", ["--documents", "pages.jsonl"])
    model, training = config.model, config.training
    assert (
        model.num_layers,
        model.hidden_size,
        model.intermediate_size,
        model.num_heads,
        model.num_kv_heads,
    ) == shape
    assert (model.rope_theta, model.tie_embeddings) == (5e5, False)
    assert training["per_device_train_batch_size"] * training["gradient_accumulation_steps"] * 32 == 512
    assert (training["max_steps"], config.data.seq_len) == (40_000, 8192)
    assert (training["learning_rate"], training["weight_decay"]) == (3e-3, 0.033)
    assert (training["adam_beta1"], training["adam_beta2"], training["warmup_steps"]) == (0.9, 0.95, 0.05)
    assert (training["lr_scheduler_type"], training["lr_scheduler_kwargs"]) == (
        "cosine_with_min_lr",
        {"min_lr_rate": 0.1},
    )
    assert config.conditioning.to_schedule(0).switch_step(40_000) == 36_000
    tokenizer = type("T", (), {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None, "__len__": lambda _: 128})
    hidden = resolve(
        recipe.Config,
        None,
        [
            "--documents",
            "x",
            "--hidden_size",
            "32",
            "--num_layers",
            "1",
            "--num_heads",
            "4",
            "--num_kv_heads",
            "2",
            "--intermediate_size",
            "48",
        ],
    )
    built = recipe.make_model(hidden, tokenizer(), 0).config
    assert isinstance(built, LlamaConfig)
    assert built.rope_parameters["rope_theta"] == 5e5
    assert (built.num_key_value_heads, built.max_position_embeddings, built.vocab_size) == (2, 8192, 128)


@pytest.mark.slow
def test_mistakes_are_one_line(recipe):
    with pytest.raises(ValueError, match="unknown setting 'max_step': did you mean 'max_steps'"):
        recipe.main(["--config", str(RECIPE / "config_cpu.yaml"), "--max_step", "3"])
    with pytest.raises(ValueError, match=r"data\.documents has no default"):
        recipe.main(["--config", str(RECIPE / "config_600m.yaml")])


@pytest.mark.slow
def test_tasks_that_would_train_alone_into_one_folder_are_refused(recipe, monkeypatch):
    recipe.check_world_size(1)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    recipe.check_world_size(2)
    with pytest.raises(ValueError, match=r"srun started 2 tasks, but .*\(ACCELERATE_CONFIG\)"):
        recipe.main(["--config", str(RECIPE / "config_cpu.yaml")])


def pages(path):
    rows = [
        {"id": f"d{i}", "url": f"https://{'abc'[i % 3]}.example/{i}", "text": f"Page {i} of {'abc'[i % 3]}. " * 9}
        for i in range(90)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.slow
def test_a_run_stops_at_the_switch_goes_on_and_says_what_it_made(recipe, tmp_path, monkeypatch, capsys, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    shape = "--tokenizer train:300 --hidden_size 16 --num_layers 1 --num_heads 2 --num_kv_heads 2"
    sizes = f"{shape} --intermediate_size 32 --seq_len 64 --plan split --held_out 4 --max_steps 10 --save_steps 5"
    command = [
        "--config",
        str(RECIPE / "config_cpu.yaml"),
        *sizes.split(),
        *("--documents", str(pages(tmp_path / "pages.jsonl"))),
        *("--output_dir", str(tmp_path / "out")),
        *("--per_device_train_batch_size", "2", "--disable_tqdm"),
    ]
    recipe.main([*command, "--stop_after_conditioned"])
    out = tmp_path / "out"
    assert sorted(path.name for path in out.glob("checkpoint-*")) == ["checkpoint-5", "checkpoint-9"]
    assert not (out / "final").exists()
    store = next((out / "data").iterdir())
    stamp = (store / "store.json").stat().st_mtime_ns
    recipe.main(command)
    assert (store / "store.json").stat().st_mtime_ns == stamp, "the data are made once"
    num_trained = len(recipe.prepare(resolve(recipe.Config, out / "config.yaml"))[1])
    assert f"prefixes: documents {num_trained}, prefixed {num_trained}" in caplog.text
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["steps"], summary["switch_step"]) == (10, 9)
    assert set(summary["held_out"]) == {"9", "10"}, "the figures of the first launch are kept"
    assert summary["held_out"]["10"]["documents"] == 4
    assert json.loads((out / "summary.json").read_bytes()) == summary
    trained = set(recipe.prepare(resolve(recipe.Config, out / "config.yaml"))[1].table["id"].to_pylist())
    held = {json.loads(line)["id"] for line in (store / "held_out.jsonl").read_text().splitlines()}
    assert trained | held == {f"d{i}" for i in range(90)}
    assert not trained & held
    names = {path.name for path in (out / "final").iterdir()}
    assert {"README.md", "model.safetensors", "meco_config.yaml", "tokenizer.json"} <= names
    assert "training_args.bin" not in names
    assert "| cooldown | 9 to 9 |" in (out / "final/README.md").read_text()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from hf_curation.evaluation import Conditioner, generate

    model, tokenizer = (c.from_pretrained(out / "final") for c in (AutoModelForCausalLM, AutoTokenizer))
    text = generate(model, Conditioner(tokenizer), "Page", {"url": "a.example"}, guidance_scale=1.5, max_new_tokens=4)
    assert isinstance(text, str)

    trained_on = [*command]
    changed = {"--documents": store, "--tokenizer": out / "final", "--output_dir": tmp_path / "of-store"}
    for option, value in changed.items():
        trained_on[trained_on.index(option) + 1] = str(value)
    with pytest.raises(ValueError, match=r"document 'd\d+' is held out and in .*: tokenize without it"):
        recipe.main([*trained_on, "--held_out_documents", str(tmp_path / "pages.jsonl")])
    others = [{"id": f"d{i}", "url": "https://a.example/x", "text": f"Another page {i}."} for i in range(9)]
    (tmp_path / "others.jsonl").write_text("\n".join(map(json.dumps, others)))
    recipe.main([*trained_on, "--held_out_documents", str(tmp_path / "others.jsonl")])
    assert "Held-out bits per byte of 4 documents" in (tmp_path / "of-store" / "final" / "README.md").read_text()
