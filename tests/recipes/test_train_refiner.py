"""The recipe runs from its command line, its configuration is whole, and the table ends with its JSON line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hf_curation.config import resolve
from hf_curation.refiners.training import TrainingDataConfig, read_training_set

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "train_refiner"


def run(script, *args, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "recipes" / script), *args], cwd=cwd, capture_output=True, text=True, check=True
    ).stdout


def test_the_configuration_has_no_unknown_key():
    config = resolve(TrainingDataConfig, RECIPE / "config.yaml")
    assert config.student.window_tokens == 800
    assert config.split.test_fold == 0, "the fold that the tagger is compared on"


def test_the_commented_teacher_is_a_configuration_too(tmp_path):
    text = (RECIPE / "config.yaml").read_text()
    teacher = text[text.index("# teacher:") :]
    (tmp_path / "config.yaml").write_text("\n".join(line.removeprefix("# ") for line in teacher.split("\n")))
    config = resolve(TrainingDataConfig, tmp_path / "config.yaml")
    assert config.teacher.labels == ("scores", "rewrite")
    assert config.scores.min_format == 4
    assert config.rewrite.max_inserted_chars == 20


@pytest.mark.slow
def test_the_quickstart_pages_become_a_set(tmp_path):
    out = run("train_refiner/make_data.py", "--set", "workers=1", cwd=tmp_path)
    assert "examples from 102 pages" in out
    assert "chunk, edit" in out
    folder = tmp_path / "runs" / "train_refiner" / "data"
    examples = [e for split in ("train", "validation", "test") for e in read_training_set(folder, split)]
    assert {e.origin for e in examples} == {"pair", "noise", "clean"}
    assert len(examples) > 200
    assert json.loads((folder / "report.json").read_text())["domains_in_two_splits"] == 0


@pytest.mark.slow
def test_the_table_of_refiners(tmp_path):
    lines = run("benchmarks/refiners.py", cwd=tmp_path).strip().split("\n")
    found = json.loads(lines[-1])
    tagger = next(figures for name, figures in found.items() if name.startswith("line-tagger"))
    assert found["pages"] == 90
    assert found["keep-all"]["word_f1"] < tagger["word_f1"] < found["oracle"]["word_f1"]
    assert tagger["gain_low"] > 0.04, "it was .066 when this was written"
    assert tagger["over_deletion"] < 0.03
    assert any(line.startswith("word F1") for line in lines)
