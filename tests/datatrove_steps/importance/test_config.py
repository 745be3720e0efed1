"""What a selection may be asked for."""

import pytest

from datatrove_steps.importance.config import SelectConfig, target_of


def make(**options):
    return SelectConfig(**{"raw": "raw", "output": "out", "targets": "target.jsonl", **options})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("laws.jsonl", ("laws", "laws.jsonl", None)),
        ("law=/a/b.parquet", ("law", "/a/b.parquet", None)),
        ("law=/a/b.parquet:0.25", ("law", "/a/b.parquet", 0.25)),
        ("/a=b/c.jsonl", ("c", "/a=b/c.jsonl", None)),
        ("hf://datasets/x/y", ("y", "hf://datasets/x/y", None)),
        ("benchmark:arc_easy", ("arc_easy", "benchmark:arc_easy", None)),
        ("arc=benchmark:arc_easy:2", ("arc", "benchmark:arc_easy", 2.0)),
        ("folder/", ("folder", "folder/", None)),
    ],
)
def test_targets_on_the_command_line(text, expected):
    assert target_of(text) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": []}, "no target"),
        ({"targets": ["a/x.jsonl", "b/x.jsonl"]}, "two targets have the same name"),
        ({"budget": "12"}, "has no unit"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"tasks": 0}, "tasks must be at least 1, got 0"),
        ({"output": "s3://x"}, "is no local folder"),
        ({"preset": "best"}, "preset must be"),
        ({"features": "words", "revision": "main"}, "revision='main' belongs to a tokenizer"),
        ({"budget": 0.01}, "budget 0.01 is not understood; write '1%'"),
        ({"target_shares": {"nope": 1}}, "target_shares names 'nope', and the targets are target"),
        ({"decontaminate": False, "held_out": ["x"]}, "give one"),
        ({"order": 0}, "max_order must be"),
    ],
)
def test_misuse(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_paths_and_one_held_out_text_are_taken_as_they_are_meant(tmp_path):
    made = make(raw=tmp_path, output=tmp_path / "out", targets=tmp_path / "sea.jsonl", held_out="test.jsonl")
    assert (made.raw, made.output) == (str(tmp_path), str(tmp_path / "out"))
    assert made.named_targets == {"sea": str(tmp_path / "sea.jsonl")}
    assert made.held_out_sets == ("test.jsonl",)
    assert make(held_out=tmp_path / "x").held_out_sets == (str(tmp_path / "x"),)
    assert make(targets={"a": tmp_path}).named_targets == {"a": str(tmp_path)}


def test_a_benchmark_is_held_out_by_default():
    assert make(targets="benchmark:piqa").held_out_sets == ("benchmark:piqa",)
    assert make(targets="benchmark:piqa", decontaminate=False).held_out_sets == ()
    assert make(targets=["benchmark:piqa", "x"], held_out=["y"]).held_out_sets == ("benchmark:piqa", "y")
    assert make().held_out_sets == ()
    with pytest.raises(ValueError, match="nothing to decontaminate against"):
        _ = make(decontaminate=True).held_out_sets


def test_a_tokenizer_sees_the_text_as_it_is():
    assert make(features="some/tokenizer", revision="v1").spec.lower is False


def test_the_preset_gives_way():
    config = make(preset="dsir", temperature=2.0, alpha=0.5)
    assert (config.scoring.temperature, config.scoring.length_exponent, config.spec.hash) == (2.0, 0.5, "sha256")


def test_a_tokenizer_gets_buckets_for_its_vocabulary():
    make = SelectConfig
    assert make(raw="r", output="o", targets="t.jsonl").spec.num_buckets == 10_000
    assert make(raw="r", output="o", targets="t.jsonl", features="llama3").spec.num_buckets == 2**20
    assert make(raw="r", output="o", targets="t.jsonl", features="llama3", buckets=500).spec.num_buckets == 500
    assert make(raw="r", output="o", targets="t.jsonl", preset="dsir").spec.num_buckets == 10_000
