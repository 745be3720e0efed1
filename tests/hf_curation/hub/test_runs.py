"""The folder of a run as a data set on the Hub: whole, with manifests, one commit, read back by the Hub's clients."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub import DatasetCard, HfApi, hf_hub_download
from pyarrow import parquet

from datatrove_steps.pipelines import refine_pipeline
from datatrove_steps.refine_plan import RefineConfig
from hf_curation.cli.main import main
from hf_curation.files.sources import find_source
from hf_curation.hub import push_folder, push_metric, push_run

OURS = {"README.md", "plan.json", "summary.json"}


def write_pages(folder, numbers):
    folder.mkdir()
    for i in numbers:
        body = f"Whales of kind {i} sing songs that are heard over hundreds of miles of open sea. " * 4
        text = f"Home | Login | Share\n{body}\nCopyright {i}, all rights reserved"
        (folder / f"{i}.jsonl").write_text(json.dumps({"id": str(i), "text": text}) + "\n")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of refine, of 2 tasks and of 1."""
    folder = tmp_path_factory.mktemp("runs")
    for name, numbers, tasks in (("two", range(4), 2), ("one", range(4, 6), 1)):
        pages = write_pages(folder / f"{name}-in", numbers)
        config = RefineConfig(input=str(pages), output=str(folder / name), tasks=tasks, workers=1, keep_original=True)
        refine_pipeline(config).run()
    return folder


@pytest.fixture
def repo_id(request):
    return f"me/{request.node.name.replace('_', '-').replace('[', '-').replace(']', '')[:80]}"


def files_of(repo_id):
    return {*HfApi().list_repo_files(repo_id, repo_type="dataset")} - {".gitattributes"}


def titles(repo_id):
    return [commit.title for commit in HfApi().list_repo_commits(repo_id, repo_type="dataset")][:-1]


def card_of(repo_id):
    commit = HfApi().dataset_info(repo_id).sha
    return DatasetCard.load(hf_hub_download(repo_id, "README.md", repo_type="dataset", revision=commit))


def written(folder):
    return {path.relative_to(folder).as_posix() for part in ("data", "dropped") for path in folder.glob(f"{part}/*")}


def test_a_run_goes_whole_in_one_private_commit(hub, runs, repo_id):
    done = push_run(runs / "two", repo_id)
    manifests = {"manifests/00000.json", "manifests/00001.json"}
    assert files_of(repo_id) == OURS | manifests | written(runs / "two")
    assert titles(repo_id) == ["Documents refined with hf-curation"]
    assert HfApi().dataset_info(repo_id).private
    assert done.url == f"{hub.url}/datasets/{repo_id}/commit/{done.commit}"
    card = card_of(repo_id)
    assert "## Refined documents" in card.text
    assert card.data.configs[0]["config_name"] == "default"


def test_of_an_earlier_run_nothing_stays_between_the_new(hub, runs, repo_id):
    push_run(runs / "two", repo_id)
    old = push_run(runs / "two", repo_id).commit
    HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="notes.txt", repo_id=repo_id, repo_type="dataset")
    push_run(runs / "one", repo_id)
    assert files_of(repo_id) == OURS | {"manifests/00000.json", "notes.txt"} | written(runs / "one")
    url = f"hf://datasets/{repo_id}"
    assert [file.name for file in find_source(url).files] == ["data/00000.parquet"]
    assert [file.name for file in find_source(f"{url}@{old}").files] == ["data/00000.parquet", "data/00001.parquet"]


def test_a_reader_takes_what_the_manifests_list(hub, runs, repo_id):
    push_run(runs / "two", repo_id)
    url = f"hf://datasets/{repo_id}"
    HfApi().upload_file(path_or_fileobj=b"PAR1", path_in_repo="data/x.parquet", repo_id=repo_id, repo_type="dataset")
    assert [file.name for file in find_source(url).files] == ["data/00000.parquet", "data/00001.parquet"]
    HfApi().delete_file("data/00001.parquet", repo_id, repo_type="dataset")
    with pytest.raises(ValueError, match=r"00001\.parquet is in a manifest and not in the folder"):
        find_source(url)


def test_several_runs_in_one_repository(hub, runs, repo_id):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: push_run(runs / "two", repo_id, path_in_repo=f"part-{i}"), range(8)))
    names = {f"part-{i}/{name}" for i in range(8) for name in written(runs / "two") | (OURS - {"README.md"})}
    assert names <= files_of(repo_id)
    assert len(titles(repo_id)) == 8
    card = card_of(repo_id)
    configs = {one["config_name"]: one["data_files"] for one in card.data.configs}
    assert {f"part-{i}": f"part-{i}/data/*.parquet" for i in range(8)}.items() <= configs.items()
    assert all(card.text.count(f"<!-- hf-curation: written by the run in part-{i} -->") == 1 for i in range(8))
    assert len(find_source(f"hf://datasets/{repo_id}/part-3").files) == 2


@pytest.mark.parametrize("path", ["..", "a//b", "data", "a/../b", "manifests"])
def test_where_a_run_cannot_go(runs, path):
    with pytest.raises(ValueError, match="no folder to put a run in"):
        push_run(runs / "two", "me/x", path_in_repo=path, dry_run=True)


def test_data_of_others_is_not_taken_over(hub, runs, repo_id):
    HfApi().create_repo(repo_id, repo_type="dataset")
    HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="data/a.parquet", repo_id=repo_id, repo_type="dataset")
    with pytest.raises(ValueError, match=r"holds data/a\.parquet, which no run of ours put there") as caught:
        push_run(runs / "two", repo_id)
    assert "\n" not in str(caught.value)
    push_run(runs / "two", repo_id, path_in_repo="refined")
    assert "data/a.parquet" in files_of(repo_id)


def test_a_run_that_is_not_whole_or_not_as_written_is_refused(hub, runs, tmp_path):
    shutil.copytree(runs / "two", tmp_path / "run")
    path = tmp_path / "run" / "data" / "00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"data/00001\.parquet is not as the run wrote it"):
        push_run(tmp_path / "run", "me/never")
    path.unlink()
    with pytest.raises(ValueError, match="1 of 2 tasks are not finished"):
        push_run(tmp_path / "run", "me/never", dry_run=True)
    (tmp_path / "run" / "summary.json").unlink()
    with pytest.raises(ValueError, match="is not finished: `hf-curation status"):
        push_run(tmp_path / "run", "me/never", dry_run=True)
    with pytest.raises(ValueError, match="holds no run"):
        push_run(tmp_path, "me/never", dry_run=True)


def test_what_a_folder_holds_decides(runs, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    assert push_folder(str(runs / "two"), "me/x", dry_run=True).repo_type == "dataset"
    assert push_folder(str(tmp_path / "model"), "me/x", dry_run=True).repo_type == "model"
    assert push_folder("bits_per_byte", "me/bits_per_byte", dry_run=True).repo_type == "space"
    with pytest.raises(ValueError, match="holds nothing to push: give the OUTPUT of refine, select"):
        push_folder(str(tmp_path), "me/x", dry_run=True)
    with pytest.raises(ValueError, match="only runs go into a folder"):
        push_folder(str(tmp_path / "model"), "me/x", path_in_repo="a", dry_run=True)


def test_the_command(hub, runs, repo_id, capsys):
    before = len(hub.requests())
    assert main(["push", str(runs / "two"), repo_id, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"would send to the dataset {repo_id} (private, if it is not there yet):" in shown
    assert "data/00000.parquet" in shown
    assert len(hub.requests()) == before
    assert main(["push", str(runs / "two"), repo_id, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["commit"] == HfApi().dataset_info(repo_id).sha
    assert facts["private"]
    assert main(["push", str(runs / "two"), repo_id]) == 0
    shown = capsys.readouterr()
    assert facts["commit"] in shown.out
    assert f"hf://datasets/{repo_id}@{facts['commit']}" in shown.err
    assert main(["push", str(runs), repo_id]) == 1
    assert capsys.readouterr().err.count("\n") == 1


CLIENTS = """
import sys, json, datasets
repo, commit = sys.argv[1:]
whole = datasets.load_dataset(repo, revision=commit, split="train")
stream = datasets.load_dataset(repo, revision=commit, split="train", streaming=True)
print(json.dumps([sorted(whole["id"]), sorted(row["id"] for row in stream)]))
"""


def run_client(hub, code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env={**os.environ, **hub.environment}, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_datasets_reads_the_commit_streaming_and_not(hub, runs, repo_id):
    commit = push_run(runs / "two", repo_id).commit
    push_run(runs / "one", repo_id)
    tables = [parquet.read_table(path) for path in (runs / "two" / "data").glob("*.parquet")]
    expected = sorted(name for table in tables for name in table["id"].to_pylist())
    assert expected
    assert run_client(hub, CLIENTS, repo_id, commit) == [expected, expected]


METRIC = """
import sys, json, evaluate
metric = evaluate.load(sys.argv[1], revision=sys.argv[2])
print(json.dumps(metric.compute(predictions=[[-0.5, -1.5]], references=["hi"])))
"""


@pytest.mark.slow
def test_evaluate_loads_a_metric_that_was_pushed(hub):
    done = push_metric("bits_per_byte", "me/bits_per_byte")
    assert done.repo_type == "space"
    assert done.private
    figures = run_client(hub, METRIC, "me/bits_per_byte", done.commit)
    assert figures["bits_per_byte"] == pytest.approx(2 / 2 / 0.6931471805599453)


def test_the_card_of_a_space_that_is_there_keeps_what_it_says(hub):
    HfApi().create_repo("org/bits_per_byte", repo_type="space", space_sdk="static")
    template = b"---\ntitle: Mine\nemoji: \xf0\x9f\x90\xb3\nsdk: static\n---\n\nAbout whales.\n"
    HfApi().upload_file(
        path_or_fileobj=template, path_in_repo="README.md", repo_id="org/bits_per_byte", repo_type="space"
    )
    done = push_metric("bits_per_byte", "org/bits_per_byte")
    assert "title: Mine\nemoji: 🐳\n" in done.card
    assert "About whales." in done.card
    assert "- metric\n" in done.card
    assert done.card.count("# Bits per byte") == 1
    assert push_metric("bits_per_byte", "org/bits_per_byte").commit == done.commit


def test_a_metric_needs_a_space_of_its_name(hub):
    with pytest.raises(ValueError, match=r"evaluate\.load looks for bpb\.py in me/bpb, .*: use me/bits_per_byte"):
        push_metric("bits_per_byte", "me/bpb", dry_run=True)
    with pytest.raises(ValueError, match="unknown metric"):
        push_metric("bpb", "me/bpb", dry_run=True)
