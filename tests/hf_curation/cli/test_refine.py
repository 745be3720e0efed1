import importlib.util
import json
import sys
from pathlib import Path

import pytest

from hf_curation.cli.main import main

_CONFTEST = Path(__file__).parents[2] / "datatrove_steps" / "conftest.py"


@pytest.fixture(scope="module")
def pages():
    """The fake refiner and its pages."""
    spec = importlib.util.spec_from_file_location("fakes_for_cli", _CONFTEST)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fakes_for_cli"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fakes_for_cli"]


@pytest.fixture
def refine(tmp_path, pages, monkeypatch):
    """Run `hf-curation refine IN OUT ...` in this process, with a fake model by the name `fake`."""
    import datatrove_steps.refine_plan as plan
    import hf_curation.refiners.load as load

    def load_refiner(name, *, stage, **options):
        if name != "fake":
            raise ValueError(f"{name!r} is no refiner")
        return pages.FakeRefiner(stage)

    monkeypatch.setattr(plan, "load_refiner", load_refiner)
    monkeypatch.setattr(load, "load_refiner", load_refiner)
    records = [
        {"id": str(i), "text": f"{'menu' if i % 2 else 'head'}\nBody {'spam' if i % 10 == 0 else 'text'} {i}"}
        for i in range(50)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records) + "bad line\n")

    def run(*args, output="out"):
        fixed = ["--refiner", "fake", "--doc-refiner", "fake", "--workers", "1"]
        return main(["refine", str(tmp_path / "in.jsonl"), str(tmp_path / output), *fixed, *args])

    return run


def test_the_table(refine, capsys, tmp_path):
    assert refine() == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert ["documents", "in", "51"] in lines
    assert ["kept", "20", "39.2", "%"] in lines
    assert ["edited", "25", "49.0", "%"] in lines
    assert ["dropped", "5", "9.8", "%", "drop_doc", "5"] in lines
    assert ["quarantined", "1", "2.0", "%", "bad_json", "1"] in lines
    assert ["removed", "125", "14.9", "%", "by", "edits"] in lines
    assert any(line[:1] == ["speed"] for line in lines)
    assert err.splitlines() == [f"Hint: hf-curation report {tmp_path / 'out'} --html report.html"]
    assert "Launching pipeline" in (tmp_path / "out" / "logs" / "stderr.log").read_text()


def test_json_is_one_object_with_everything(refine, capsys):
    assert refine("--json", "--tasks", "3") == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert facts["documents"] == {"in": 51, "kept": 20, "edited": 25, "fallback": 0, "dropped": 5, "quarantined": 1}
    assert facts["world_size"] == 3
    assert facts["documents_per_s"] > 0
    assert err == ""


def test_running_again(refine, capsys):
    assert refine() == 0
    capsys.readouterr()
    assert refine() == 0
    assert "every task was finished before; nothing was run" in capsys.readouterr().out


def test_misuse_is_one_line(refine, capsys, tmp_path):
    assert refine() == 0
    capsys.readouterr()
    for args, message in (
        (["--tasks", "4"], "number of tasks was 1 and is 4"),
        (["--limit", "0"], "limit must be at least 1, got 0"),
        (["--max-removed-fraction", "7"], "--max-removed-fraction must be in [0, 1], got 7.0"),
        (["--refiner", "fak"], "'fak' is no refiner"),
        (["--slurm", "partition"], "--slurm takes KEY=VALUE, got 'partition'"),
        (["--text-key", "body"], "--text-key was 'text' and is 'body'"),
    ):
        assert refine(*args) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1), err
        assert message in err
        assert err.startswith("hf-curation refine: ")


def test_a_missing_input(tmp_path, capsys):
    assert main(["refine", str(tmp_path / "nope"), str(tmp_path / "out")]) == 1
    assert "there is nothing at" in capsys.readouterr().err


def test_a_failed_task(refine, capsys, tmp_path, pages, monkeypatch):
    monkeypatch.setattr(pages.FakeRefiner, "write", lambda self, windows: 1 / 0)
    assert refine("--tasks", "2") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "task 0 failed: RuntimeError: the refiner failed 20 times in a row: division by zero" in err
    assert "2 of 2 tasks failed and published nothing" in err
    assert "Run the same command again" in err
    monkeypatch.undo()


def test_a_run_that_is_not_right_as_a_whole(refine, capsys, tmp_path):
    assert refine() == 0
    (tmp_path / "out" / "data" / "extra.parquet").write_bytes(b"who am I")
    (tmp_path / "out" / "summary.json").unlink()
    capsys.readouterr()
    assert refine() == 1
    err = capsys.readouterr().err
    assert "every task is finished, but the run as a whole is not right: data/extra.parquet" in err


def test_a_wrong_text_key_is_hinted_at(refine, capsys):
    assert refine("--text-key", "body") == 0
    out, err = capsys.readouterr()
    assert "missing_text 50" in out
    assert "name its column or key with --text-key" in err


def test_another_process_in_the_same_folder(refine, capsys, tmp_path):
    from hf_curation.files.lock import lock_folder

    with lock_folder(tmp_path / "out"):
        assert refine() == 1
    assert "another process is writing" in capsys.readouterr().err
    assert refine() == 0


def test_left_overs_of_killed_runs_are_swept(refine, tmp_path):
    assert refine() == 0
    (tmp_path / "out" / "data" / "00000.parquet.0123abcd.part").write_bytes(b"torn")
    assert refine() == 0
    assert [path.name for path in (tmp_path / "out" / "data").iterdir()] == ["00000.parquet"]


def test_none_leaves_a_stage_out(refine, capsys):
    assert refine("--doc-refiner", "none", "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["stages"]) == ["read", "chunk", "write"]


@pytest.mark.parametrize("flag", ["--refiner", "--doc-refiner", "--json", "--keep-original", "--limit", "--overwrite"])
def test_help_names_every_option(flag, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["refine", "--help"])
    assert stop.value.code == 0
    assert flag in capsys.readouterr().out
