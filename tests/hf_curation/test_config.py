"""Default < YAML < command line; whatever is misspelt, repeated or of another type is an error that helps."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.config import open_section, parse_value, read_yaml, resolve, split_config_path, write_yaml


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Data:
    source: str
    seq_len: int = 8
    ratio: float = 0.5
    folder: Path | None = None
    columns: tuple[str, ...] = ("url",)
    size: int = 1


@dataclass(frozen=True, kw_only=True)
class Model:
    colour: Colour = Colour.RED
    mode: Literal["rows", "flat"] = "rows"
    tie: bool = False
    size: int = 2

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be positive, got {self.size}")


@dataclass(frozen=True, kw_only=True)
class Config:
    data: Data
    model: Model = field(default_factory=Model)
    training: dict[str, Any] = open_section(lambda: ["max_steps", "lr"], {"lr": 0.1})  # noqa: RUF009
    dry_run: bool = False


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_command_line_over_file_over_default(tmp_path):
    path = write(tmp_path, "data: {source: a, seq_len: 16, ratio: 3e-4}\ntraining: {max_steps: 5}\n")
    config = resolve(Config, path, ["--data.seq_len", "32", "--max_steps=7", "--colour", "blue", "--dry_run"])
    assert config == Config(
        data=Data(source="a", seq_len=32, ratio=3e-4),
        model=Model(colour=Colour.BLUE),
        training={"lr": 0.1, "max_steps": 7},
        dry_run=True,
    )


def test_types_are_converted_where_nothing_is_lost():
    config = resolve(
        Config,
        None,
        [
            "--source",
            "x",
            "--ratio",
            "1",
            "--folder",
            "a/b",
            "--columns",
            "[url, date]",
            "--mode",
            "flat",
            "--tie",
            "true",
        ],
    )
    assert config.data == Data(source="x", ratio=1.0, folder=Path("a/b"), columns=("url", "date"))
    assert config.model == Model(mode="flat", tie=True)
    assert resolve(Config, None, ["--source", "x", "--folder", "null"]).data.folder is None
    assert resolve(Config, None, ["--source", "x", "--lr", "-1e-3"]).training == {"lr": -0.001}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max_step", "3"], "unknown setting 'max_step': did you mean 'max_steps'"),
        (["--data.seqlen", "3"], "unknown setting 'data.seqlen': did you mean 'data.seq_len'"),
        (["--modle.size", "3"], "unknown section 'modle': did you mean 'model'"),
        (["--training.max_stps", "3"], "did you mean 'training.max_steps'"),
        (["--qqqq", "3"], "unknown setting 'qqqq': there are: "),
        (["--size", "3"], "--size may be --data.size or --model.size: write which"),
        (["--lr", "1", "--lr=2"], "--lr is given twice"),
        (["seq_len", "3"], "expected --key value, got 'seq_len'"),
        (["--seq_len", "long"], "data.seq_len must be int, got 'long'"),
        (["--seq_len", "1.5"], "data.seq_len must be int, got 1.5"),
        (["--seq_len", "true"], "data.seq_len must be int, got True"),
        (["--tie", "1"], "model.tie must be bool, got 1"),
        (["--colour", "green"], "model.colour must be red or blue, got 'green'"),
        (["--mode", "columns"], "model.mode must be rows or flat, got 'columns'"),
        (["--columns", "url"], "data.columns must be .*, got 'url'"),
        (["--folder", "3"], "data.folder must be Path or null, got 3"),
        (["--model.size", "0"], "size must be positive, got 0"),
        ([], "data.source has no default: set it in the file or with --data.source"),
    ],
)
def test_what_is_wrong_on_the_command_line(arguments, message):
    needed = [] if not arguments else ["--source", "x"]
    with pytest.raises(ValueError, match=message):
        resolve(Config, None, [*needed, *arguments])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dta: {source: x}", "unknown setting 'dta': did you mean 'data'"),
        ("data: {sorce: x}", "unknown setting 'data.sorce': did you mean 'data.source'"),
        ("training: {max_step: 3}", "unknown setting 'training.max_step': did you mean 'training.max_steps'"),
        ("data: 3", "data is a section with keys, got 3"),
        ("- a", "must hold keys and values, got list"),
        ("data: {source: a, source: b}", "key 'source' stands twice"),
        ("data: {source: [}", "is no YAML"),
        ("data: {source: !!python/object:os.system x}", "is no YAML"),
    ],
)
def test_what_is_wrong_in_the_file(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        resolve(Config, write(tmp_path, text))


def test_numbers_are_those_of_yaml_1_2():
    assert [parse_value(text) for text in ("3e-4", "1E5", "-2e3", "3.5e+2", ".5e1", "40", "a3e4", "1e", "x: [")] == [
        3e-4,
        1e5,
        -2e3,
        350.0,
        5.0,
        40,
        "a3e4",
        "1e",
        "x: [",
    ]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_comes_back(value):
    assert parse_value(repr(value)) == value


def test_a_time_limit_is_a_string(tmp_path):
    text = "limit: 4:00:00\nshort: 30:00\nlong: 1:20:30.5\nport: 8080\n"
    read = read_yaml(write(tmp_path, text))
    assert read == {"limit": "4:00:00", "short": "30:00", "long": "1:20:30.5", "port": 8080}
    assert parse_value("12:00:00") == "12:00:00"


def test_an_empty_file_holds_nothing(tmp_path):
    assert read_yaml(write(tmp_path, "# nothing\n")) == {}


def test_the_resolved_configuration_resolves_to_itself(tmp_path):
    config = resolve(Config, None, ["--source", "x", "--folder", "a", "--colour", "blue", "--max_steps", "3"])
    write_yaml(tmp_path / "resolved.yaml", config)
    assert resolve(Config, tmp_path / "resolved.yaml") == config
    assert list(yaml.safe_load((tmp_path / "resolved.yaml").read_text())) == ["data", "model", "training", "dry_run"]


def test_the_defaults_of_a_section_are_not_shared():
    first = resolve(Config, None, ["--source", "x", "--max_steps", "3"])
    assert first.training == {"lr": 0.1, "max_steps": 3}
    assert resolve(Config, None, ["--source", "x"]).training == {"lr": 0.1}


def test_the_path_of_the_file():
    assert split_config_path(["--a", "1", "--config", "c.yaml", "--b"]) == ("c.yaml", ["--a", "1", "--b"])
    assert split_config_path(["--config=c.yaml", "--b"]) == ("c.yaml", ["--b"])
    assert split_config_path(["--b"]) == (None, ["--b"])
    for arguments in (["--config"], ["--config", "--b"]):
        with pytest.raises(ValueError, match="needs the path"):
            split_config_path(arguments)
