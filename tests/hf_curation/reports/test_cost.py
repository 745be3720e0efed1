"""The report and the command's last lines say what the language model cost."""

import json

import orjson

from hf_curation.cli import refine
from hf_curation.files.manifest import Manifest
from hf_curation.refiners.cost import megaflops
from hf_curation.reports import gather_report, render_report


def run_with_model(small_run, **totals):
    folder = small_run.write()
    manifest = Manifest.read(next((folder / "manifests").glob("*.json")))
    manifest.stages["chunk"].totals.update(totals)
    manifest.write(folder)
    return folder


def test_a_report_counts_flops_where_the_model_is_known(small_run):
    folder = run_with_model(small_run, prompt_tokens=8766, model_megaflops=megaflops(135_000_000, 10_000))
    report = gather_report(folder)
    assert report.as_dict()["run"]["model_flops"] == 2.7e12
    html = render_report(report).decode()
    assert "<dt>cost of the model</dt>" in html
    assert "2.7e+12 FLOPs; a billion tokens read: 3.08e+17 FLOPs" in html


def test_a_report_of_a_run_without_a_known_model_has_no_such_line(small_run):
    report = gather_report(run_with_model(small_run, prompt_tokens=8766))
    assert json.loads(json.dumps(report.as_dict()))["run"]["model_flops"] is None
    assert "cost of the model" not in render_report(report).decode()


def test_the_command_prints_rates_of_what_it_ran_itself(tmp_path, capsys):
    stage = {"totals": {"prompt_tokens": 20_000, "output_tokens": 500, "model_megaflops": 5_000_000}}
    summary = {
        "documents": {"in": 50, "kept": 50, "quarantined": 0},
        "chars": {"in": 9, "removed": 0, "dropped": 0},
        "calls_applied": 0,
        "prompt_tokens": 20_000,
        "output_tokens": 500,
        "stages": {"chunk": stage},
        **{name: {} for name in ("dropped", "quarantined", "fallbacks", "rejected", "bad_shards")},
    }
    (tmp_path / "summary.json").write_bytes(orjson.dumps(summary))
    refine._report(tmp_path, 0, 10.0, as_json=False)
    assert (
        "model          5e+12 FLOPs, 2,000 tokens a second read, 50 written; "
        "a billion tokens read: 2.5e+17 FLOPs, 139 hours\n"
    ) in capsys.readouterr().out
    refine._report(tmp_path, 20, 10.0, as_json=False)
    assert "model          5e+12 FLOPs; a billion tokens read: 2.5e+17 FLOPs\n" in capsys.readouterr().out
    refine._report(tmp_path, 0, 10.0, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["model_flops"], printed["prompt_tokens_per_s"]) == (5e12, 2000)
