"""The three verbs that write data sets, each run as a user runs it, in this process."""

import json

import pytest

from hf_curation.cli.main import main
from hf_curation.files.manifest import Manifest

VERBS = ("refine", "select", "tokenize")


@pytest.fixture(scope="session")
def fixed(tmp_path_factory, make_byte_tokenizer):
    """What the verbs need beside input and output."""
    folder = tmp_path_factory.mktemp("fixed")
    (folder / "target.jsonl").write_text("".join(json.dumps({"text": f"Whales sing, {i}."}) + "\n" for i in range(9)))
    make_byte_tokenizer().save_pretrained(folder / "tokenizer")
    select = ["--target", f"{folder}/target.jsonl", "--budget", "100%", "--no-decontaminate"]
    return {"refine": [], "select": select, "tokenize": ["--tokenizer", f"{folder}/tokenizer"]}


@pytest.fixture
def launch(fixed, monkeypatch):
    """Run `hf-curation VERB IN OUT ...` with one worker; returns the exit code."""
    import datatrove_steps.importance.plan as select_plan
    import datatrove_steps.refine_plan as refine_plan
    import datatrove_steps.tokenize_pipeline as tokenize_pipeline

    # Plans hold a digest of the code; it must not change under a test while somebody edits a file.
    for module in (refine_plan, select_plan, tokenize_pipeline):
        monkeypatch.setattr(module, "versions_of", lambda code, packages: {"hf_curation": "0", "code_sha256": "0"})

    def run(verb, source, output, *more):
        return main([verb, str(source), str(output), *fixed[verb], "--workers", "1", *more])

    return run


@pytest.fixture
def accounts():
    """`(records in, documents out, reason -> records quarantined)` of a finished run, all tasks together."""

    def read(folder):
        manifests = [Manifest.read(path) for path in sorted((folder / "manifests").glob("*.json"))]
        quarantined = {}
        num_in = num_out = 0
        for manifest in manifests:
            stages = list(manifest.stages.values())
            num_in += stages[0].num_in
            num_out += stages[-1].num_out
            for stage in stages:
                for reason, number in stage.quarantined.items():
                    quarantined[reason] = quarantined.get(reason, 0) + number
        return num_in, num_out, quarantined

    return read


@pytest.fixture
def contents():
    """Name -> bytes of every file of a run, logs aside."""

    def read(folder):
        files = (path for path in folder.rglob("*") if path.is_file())
        names = {path.relative_to(folder): path for path in files}
        return {name.as_posix(): path.read_bytes() for name, path in names.items() if "logs" not in name.parts}

    return read
