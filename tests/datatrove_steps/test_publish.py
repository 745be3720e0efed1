import json
import os

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import LambdaFilter

from datatrove_steps.ledger import Ledger
from datatrove_steps.publish import FinishRun, PublishRank
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.refine import RefineChunks, RefineDocuments
from datatrove_steps.writers import WriteParquet
from hf_curation.files import atomic
from hf_curation.files.accounts import ConservationError
from hf_curation.files.manifest import Manifest, check_run, manifest_path
from hf_curation.files.plans import Plan, claim_folder
from hf_curation.files.sources import find_source, fingerprint
from hf_curation.programs.model import Stage


@pytest.fixture
def build(pages_file, tmp_path, fake_refiner):
    """A pipeline by hand, as `refine_pipeline` builds it; `between` goes in front of the writer."""

    def make(world_size=1, between=()):
        out, ledger = tmp_path / "out", Ledger()
        source = fingerprint(find_source(pages_file))
        plan = Plan.of("refine", {"source": "pages"}, source, world_size, {"hf_curation": "0"})
        claim_folder(out, plan)
        dropped = WriteParquet(out / "dropped", is_dropped=True, ledger=ledger)
        shared = {"quarantine": out / "quarantine", "ledger": ledger}
        steps = [
            ReadDocuments(source, **shared),
            RefineDocuments(fake_refiner(Stage.DOCUMENT), exclusion_writer=dropped, **shared),
            RefineChunks(fake_refiner(), **shared),
            *between,
            WriteParquet(out / "data", ledger=ledger),
            PublishRank(out, plan, ledger),
        ]
        return steps, plan, out

    return make


def drain(steps, rank=0, world_size=1):
    data = None
    for step in steps:
        data = step(data, rank, world_size)
    for _ in data:
        pass


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_rank_is_published_with_its_manifest(build):
    steps, plan, out = build()
    drain(steps)
    assert files(out) == ["data/00000.parquet", "dropped/00000.parquet", "manifests/00000.json", "plan.json"]
    (manifest,) = check_run(out, plan)
    assert list(manifest.stages) == ["read", "document", "chunk", "write"]
    assert manifest.stages["read"].num_in == 60
    assert manifest.stages["write"].num_out + manifest.stages["document"].num_dropped == 60
    assert manifest.refiners == {"document": "fake@1", "chunk": "fake@1"}
    assert manifest.inputs[0].num_records == 60
    listed = {output.name: output for output in manifest.outputs}
    for name, output in listed.items():
        data = (out / name).read_bytes()
        assert (output.num_bytes, output.sha256) == (len(data), atomic.sha256(data).hexdigest())
    assert listed["data/00000.parquet"].num_rows == len(list(ReadDocuments(out / "data").run()))


def test_ranks_in_turn_on_the_same_objects(build):
    steps, plan, out = build(world_size=3)
    for rank in range(3):
        drain(steps, rank, 3)
    manifests = check_run(out, plan)
    assert sum(manifest.stages["read"].num_in for manifest in manifests) == 60
    assert max(manifest.stages["read"].num_in for manifest in manifests) == 20


def test_a_filter_that_keeps_no_account_is_found_out(build):
    steps, _, out = build(between=[LambdaFilter(lambda doc: doc.id != "page-0")])
    with pytest.raises(ConservationError, match="51 documents left 'chunk' and 50 came to 'write'"):
        drain(steps)
    assert files(out) == ["plan.json"]


@pytest.mark.parametrize("where", [0, 1, 2, 3])
def test_a_failing_step_publishes_nothing_of_the_rank(build, where):
    def explode(data, rank, world_size):
        for i, doc in enumerate(data):
            if i == 30:
                raise RuntimeError("boom")
            yield doc

    steps, _, out = build()
    steps.insert(where + 1, explode)
    with pytest.raises(RuntimeError, match="boom"):
        drain(steps)
    assert files(out) == ["plan.json"]


@pytest.mark.parametrize("fail_at", range(3))
def test_a_disk_that_fills_up_while_publishing(build, monkeypatch, fail_at):
    renames = []

    def replace(source, target):
        if len(renames) == fail_at:
            raise OSError(28, "No space left on device")
        renames.append(target)
        real(source, target)

    real = os.replace
    steps, plan, out = build()
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="No space left"):
        drain(steps)
    monkeypatch.undo()
    assert not manifest_path(out, 0).exists(), "no manifest, so nobody reads what was renamed"
    assert not list(out.rglob("*.part"))
    drain(build()[0])
    assert len(check_run(out, plan)) == 1


def test_another_number_of_tasks_than_planned(build):
    steps, _, out = build(world_size=2)
    with pytest.raises(ValueError, match="planned for 2 tasks and launched with 3"):
        drain(steps, 0, 3)
    assert files(out) == ["plan.json"]


def test_the_run_gets_its_card_only_when_it_is_whole(build):
    steps, plan, out = build(world_size=2)
    drain(steps, 0, 2)
    with pytest.raises(ValueError, match="1 of 2 tasks are not finished"):
        list(FinishRun(out, plan).run())
    assert not (out / "README.md").exists()
    drain(steps, 1, 2)
    assert list(FinishRun(out, plan).run()) == []
    summary = json.loads((out / "summary.json").read_text())
    documents = summary["documents"]
    assert documents["in"] == 60 == sum(documents.values()) - 60
    assert list(documents) == ["in", "kept", "edited", "fallback", "dropped", "quarantined"]
    assert documents["dropped"] == summary["dropped"]["drop_doc"] == 9
    assert summary["chars"]["in"] == sum(n for name, n in summary["chars"].items() if name != "in")
    readme = (out / "README.md").read_text()
    assert "- config_name: dropped" in readme
    assert "| in | 60 | 100.0 % |" in readme
    assert str(out) not in readme


def test_progress_is_shown_in_a_file_per_rank(build, tmp_path):
    steps, plan, out = build()
    steps[-1] = PublishRank(out, plan, steps[-1].ledger, progress_folder=tmp_path / "progress")
    drain(steps)
    assert (tmp_path / "progress" / "00000").read_text() == "51"


def test_an_empty_input_makes_a_whole_run(build, pages_file):
    pages_file.write_text("")
    steps, plan, out = build()
    drain(steps)
    list(FinishRun(out, plan).run())
    assert files(out) == ["README.md", "data/00000.parquet", "manifests/00000.json", "plan.json", "summary.json"]
    assert json.loads((out / "summary.json").read_text())["documents"]["in"] == 0
    assert "config_name: dropped" not in (out / "README.md").read_text()


def test_manifests_of_equal_ranks_are_equal(build, tmp_path):
    steps, _, out = build()
    drain(steps)
    first = {name: (out / name).read_bytes() for name in files(out)}
    drain(steps)
    assert {name: (out / name).read_bytes() for name in files(out)} == first
    assert Manifest.read(manifest_path(out, 0)).stages["read"].num_in == 60


def test_stages_of_the_same_name_have_accounts_of_their_own(build, fake_refiner):
    steps, plan, out = build()
    steps.insert(3, RefineChunks(fake_refiner(), ledger=steps[0].ledger))
    drain(steps)
    (manifest,) = check_run(out, plan)
    assert list(manifest.stages) == ["read", "document", "chunk", "chunk_2", "write"]


def test_documents_of_another_source_are_accounted_for(build):
    steps, plan, out = build()
    steps.insert(0, lambda *_: iter([Document(text="from elsewhere", id="x")]))
    drain(steps)
    (manifest,) = check_run(out, plan)
    assert manifest.stages["read"].num_in == 61
