"""`hf-curation select`: arguments, the table, JSON, errors in one line, and weights of another run."""

import json
import random

import pytest

from hf_curation.cli.main import main

WORDS = {"sea": ["ship", "sail", "tide", "gull", "anchor"], "law": ["court", "judge", "claim", "clause", "appeal"]}


@pytest.fixture(autouse=True)
def still_code(monkeypatch):
    """Somebody may edit a file while the tests run."""
    import datatrove_steps.importance.plan as plan

    monkeypatch.setattr(plan, "versions_of", lambda code, packages: {"hf_curation": "0", "code_sha256": "0"})


@pytest.fixture
def select(tmp_path):
    rng = random.Random(0)  # noqa: S311

    def record(i):
        source = ("sea", "law")[i % 2]
        return {"id": str(i), "text": " ".join(rng.choices(WORDS[source], k=rng.randint(5, 20))), "source": source}

    (tmp_path / "raw.jsonl").write_text("".join(json.dumps(record(i)) + "\n" for i in range(60)) + "bad line\n")
    for name, words in WORDS.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": " ".join(words * 5)}) + "\n")

    def run(*args, output="out", targets=("sea.jsonl",)):
        chosen = [part for target in targets for part in ("--target", target.replace("@", f"{tmp_path}/"))]
        if targets == ("sea.jsonl",):
            chosen = ["--target", str(tmp_path / "sea.jsonl")]
        fixed = [str(tmp_path / "raw.jsonl"), str(tmp_path / output), "--workers", "1"]
        return main(["select", *fixed, *chosen, *args])

    return run


def test_the_table(select, capsys, tmp_path):
    assert select("--budget", "10 documents", "--general-share", "0.2") == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert ["documents", "in", "61"] in lines
    assert ["chosen", "10", "16.39", "%"] in lines
    assert ["not", "chosen", "50", "81.97", "%"] in lines
    assert ["quarantined", "1", "1.64", "%", "bad_json", "1"] in lines
    assert any(line[:2] == ["sea", "law"] or line[:1] == ["sea"] for line in lines)
    assert any(line[:1] == ["general"] and line[-2:] == ["2", "documents"] for line in lines)
    assert any(line[:2] == ["KL,", "others"] for line in lines)
    assert err.splitlines() == [f"Hint: hf-curation report {tmp_path / 'out'} --html report.html"]


def test_the_table_adds_up(select, capsys, tmp_path):
    lines = (tmp_path / "raw.jsonl").read_text().splitlines()[:-1]
    records = [json.loads(line) for line in lines]
    sources = ("sea\nside", None)
    (tmp_path / "raw.jsonl").write_text(
        "".join(json.dumps(one | {"source": sources[i % 2]}) + "\n" for i, one in enumerate(records))
    )
    (tmp_path / "test.jsonl").write_text(
        json.dumps({"text": next(one["text"] for one in records if len(one["text"].split()) > 15)}) + "\n"
    )
    assert select("--budget", "50% documents", "--temperature", "100", "--held-out", str(tmp_path / "test.jsonl")) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = {" ".join(line[:2]): line for line in lines}
    assert int(rows["sea side"][-2]) + int(rows["(no source)"][-2]) == int(
        next(x for x in lines if x[0] == "chosen")[1]
    )
    assert int(rows["tokens in"][2].replace(",", "")) > int(next(x for x in lines if x[0] == "eligible")[1])


@pytest.mark.parametrize("options", [("--budget", "0%"), ("--min-tokens", "1000000", "--budget", "50%")])
def test_nothing_chosen_has_no_distance(select, capsys, tmp_path, options):
    assert select(*options) == 0
    out = capsys.readouterr().out
    assert ["chosen", "0", "0.00", "%"] in [line.split() for line in out.splitlines()]
    assert "nan" not in out
    assert "KL" not in out
    assert main(["report", str(tmp_path / "out"), "--html", str(tmp_path / "report.html")]) == 0
    assert "Nothing was chosen" in capsys.readouterr().out


def test_texts_too_short_for_a_distance(select, capsys, tmp_path):
    select("--budget", "0%", output="other")  # writes the target
    (tmp_path / "raw.jsonl").write_text('{"text": "one"}\n{"text": "six"}\n')
    assert select("--budget", "100%") == 0
    assert not any(line.startswith("KL, others") for line in capsys.readouterr().out.splitlines())
    assert main(["report", str(tmp_path / "out"), "--html", str(tmp_path / "report.html")]) == 0


def test_json_is_one_object_with_everything(select, capsys):
    assert select("--json", "--tasks", "3", "--budget", "50%") == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert facts["documents"]["in"] == 61
    assert facts["world_size"] == 3
    assert set(facts["kl"]) == {"sampler", "probe"}
    assert err == ""


def test_running_again(select, capsys):
    assert select() == 0
    capsys.readouterr()
    assert select() == 0
    assert "every task was finished before; nothing was run" in capsys.readouterr().out


def test_another_budget_by_the_same_weights(select, capsys, tmp_path):
    assert select() == 0
    assert select("--budget", "20 documents", "--weights-of", str(tmp_path / "out"), "--json", output="more") == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert facts["documents"]["chosen"] == 20
    assert not (tmp_path / "more" / "weights").exists()
    assert "default: true" in (tmp_path / "more" / "README.md").read_text()
    assert "weights/*.parquet" not in (tmp_path / "more" / "README.md").read_text()


def test_targets_with_shares_caps_and_quotas(select, capsys):
    targets = ("@sea.jsonl:0.5", "justice=@law.jsonl:0.5")
    limits = ["--cap", "sea=40%", "--quota", "law=0.5"]
    assert select("--separate", "--budget", "20 documents", *limits, "--json", targets=targets) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts["lanes"]) >= {"sea", "justice"}
    assert facts["sources"]["sea"]["documents"] <= 8
    assert facts["sources"]["law"]["documents"] >= 10


def test_misuse_is_one_line(select, capsys):
    assert select() == 0
    capsys.readouterr()
    for args, message in (
        (["--tasks", "4"], "number of tasks was 1 and is 4"),
        (["--limit", "0"], "limit must be at least 1, got 0"),
        (["--budget", "5"], "budget '5' has no unit"),
        (["--cap", "sea"], "--cap takes SOURCE=SHARE"),
        (["--cap", "sea=much"], "--cap takes SOURCE=SHARE"),
        (["--slurm", "partition"], "--slurm takes KEY=VALUE, got 'partition'"),
        (["--seed", "3"], "seed was 0 and is 3"),
        (["--text-key", "body"], "--text-key was 'text' and is 'body'"),
        (["--weights-of", "nowhere"], "nowhere holds no selection"),
    ):
        assert select(*args) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1), err
        assert message in err
        assert err.startswith("hf-curation select: ")
    targets = ("@sea.jsonl:0.5", "@law.jsonl")
    assert select(targets=targets, output="other") == 1
    assert "a share is given for sea, and not for all targets" in capsys.readouterr().err


def test_caps_need_a_source(select, capsys, tmp_path):
    records = [json.loads(line) for line in (tmp_path / "raw.jsonl").read_text().splitlines()[:-1]]
    (tmp_path / "raw.jsonl").write_text(
        "".join(json.dumps({"id": one["id"], "text": one["text"]}) + "\n" for one in records)
    )
    assert select("--cap", "sea=0.5") == 1
    assert "need --source-key" in capsys.readouterr().err
    assert not (tmp_path / "out" / "plan.json").exists(), "found before anything is read"


def test_a_failed_task(select, capsys, tmp_path):
    assert select("--budget", "1000 documents") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "1000" in err.splitlines()[0]
    assert "Run the same command again" in err
    assert err.splitlines()[-1].endswith(f"--weights-of {tmp_path / 'out'}; nothing is scored again")
    assert select("--budget", "10 documents", "--weights-of", str(tmp_path / "out"), output="more") == 0


def test_no_target_is_misuse(tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        main(["select", "raw", str(tmp_path / "out")])
    assert error.value.code == 2
    assert "--target" in capsys.readouterr().err


def test_a_wrong_text_key_is_told(select, capsys):
    assert select("--text-key", "body") == 1
    err = capsys.readouterr().err
    assert "holds no n-gram; look at its texts and at --target-text-key" in err
    assert "Hint" not in err, "nothing was weighed"


def test_another_process_in_the_same_folder(select, capsys, tmp_path):
    from hf_curation.files.lock import lock_folder

    with lock_folder(tmp_path / "out"):
        assert select() == 1
    assert "another process is writing" in capsys.readouterr().err


def test_the_report_of_a_selection(select, tmp_path, capsys):
    assert select("--budget", "20%") == 0
    assert main(["report", str(tmp_path / "out"), "--html", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert len(page) < 3_000_000


def test_the_target_may_keep_its_text_elsewhere(tmp_path, capsys):
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps({"body": f"ship {i} sails"}) + "\n" for i in range(20)))
    (tmp_path / "target.jsonl").write_text(json.dumps({"text": "ships sail"}) + "\n")
    command = [
        "select",
        str(tmp_path / "raw.jsonl"),
        str(tmp_path / "out"),
        "--target",
        str(tmp_path / "target.jsonl"),
    ]
    assert main([*command, "--text-key", "body", "--workers", "1"]) == 1
    capsys.readouterr()
    keys = ["--text-key", "body", "--target-text-key", "text", "--overwrite"]
    assert main([*command, *keys, "--budget", "3 documents", "--workers", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"]["chosen"] == 3
