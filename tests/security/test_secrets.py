"""Canaries: keys planted in environment, settings and addresses are in nothing that a run writes or prints.

What is searched: every file under the run's folders (packed ones unpacked), what went to stdout and stderr, and the
pickles that a cluster's jobs would be started from. What is searched for: the key, its base64 in each of the three
alignments, and its hex.
"""

import base64
import gzip
import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path

import dill
import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from datatrove_steps.executors import RanksFailedError
from datatrove_steps.pipelines import refine_pipeline
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.refine_plan import RefineConfig
from hf_curation.cli.main import main
from hf_curation.config import resolve
from hf_curation.refiners.server import ServerPolicy, ServerRefiner

ROOT = Path(__file__).parents[2]
KEYS = {
    "HF_TOKEN": "hf_CanaryAlphaQqZx0123456789",
    "OPENAI_API_KEY": "sk-CanaryBravoVvWy0123456789",
    "MY_SERVER_KEY": "CanaryCharlieJjKk0123456789",
    "AWS_SECRET_ACCESS_KEY": "CanaryDeltaPpMm0123456789",
}
IN_URLS = "CanaryEchoUuTt0123456789"


def spellings(secret):
    raw = secret.encode()
    # The letters of a longer base64 that do not depend on the neighbours of the key.
    packed = [base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)]
    return [raw, raw.hex().encode(), *packed]


NEEDLES = {needle: name for name, key in KEYS.items() for needle in spellings(key)}


def found_in(data, needles=NEEDLES):
    return {name for needle, name in needles.items() if needle in data}


def unpacked(path):
    """The bytes of a file, and what it holds where that is packed."""
    data = path.read_bytes()
    if path.suffix == ".parquet":
        data += json.dumps(parquet.read_table(path).to_pylist(), default=repr).encode()
    elif path.suffix == ".arrow":
        with pa.memory_map(str(path)) as source:
            data += json.dumps(pa.ipc.open_file(source).read_all().to_pylist(), default=repr).encode()
    elif path.suffix == ".gz":
        data += gzip.decompress(data)
    elif path.suffix == ".zst":
        data += zstandard.decompress(data)
    return data


def leaks(folder, needles=NEEDLES):
    """File -> names of the keys in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files, "nothing to search"
    found = {path.relative_to(folder).as_posix(): found_in(unpacked(path), needles) for path in files}
    return {name: names for name, names in found.items() if names}


def test_the_search_finds_what_is_there(tmp_path):
    key = KEYS["HF_TOKEN"]
    (tmp_path / "a.txt").write_text(f"Bearer {key}")
    (tmp_path / "b.gz").write_bytes(gzip.compress(key.encode()))
    (tmp_path / "c.txt").write_bytes(base64.b64encode(b"user:" + key.encode()))
    parquet.write_table(pa.table({"x": [f"?token={key}"]}), tmp_path / "d.parquet")
    (tmp_path / "e.txt").write_text("nothing")
    assert leaks(tmp_path) == {name: {"HF_TOKEN"} for name in ("a.txt", "b.gz", "c.txt", "d.parquet")}


@pytest.fixture
def planted(monkeypatch):
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)


def load(name, path):
    """Import a helper of other tests."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scripted():
    """The misbehaving server of the server tests: it says the key that it was sent back in every error."""
    module = load("scripted_for_secrets", ROOT / "tests/hf_curation/refiners/server/conftest.py")
    server = module.ScriptedServer()

    def script(seen):
        if "odd" in seen.prompt:
            said = {"error": {"message": f"bad key {seen.headers['authorization']} for this prompt"}}
            return module.Reply(said, status=400)
        return module.answer("remove_lines(line_start=0, line_end=0)")

    server.script = script
    yield server
    server.released.set()
    server.stop()
    del sys.modules["scripted_for_secrets"]


@pytest.fixture
def pages(tmp_path):
    """Pages whose own addresses hold a password, as crawled addresses do."""
    path = tmp_path / "in" / "pages.jsonl"
    path.parent.mkdir()
    url = f"https://reader:{IN_URLS}@site{{}}.example/page?x=1"
    rows = [
        {"id": f"d{i}", "text": f"Home | Login\nWhales sing{' oddly' * (i % 9 == 4)}, {i}.", "url": url.format(i % 3)}
        for i in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "not json\n")
    return path


def server_refiner(scripted):
    policy = ServerPolicy(timeout_s=5.0, deadline_s=5.0, backoff_s=0.01, max_failed_fraction=0.5)
    return ServerRefiner(scripted.url, "tiny", preset="prox-web-chunk", api_key_env="MY_SERVER_KEY", policy=policy)


@pytest.mark.slow
def test_a_run_through_a_server_and_all_that_follows(planted, scripted, pages, tmp_path, make_byte_tokenizer, capfd):
    runs = tmp_path / "runs"
    make_byte_tokenizer().save_pretrained(tmp_path / "tokenizer")
    config = {"input": str(pages.parent), "chunk_refiner": server_refiner(scripted), "doc_refiner": "tagger"}
    refine_pipeline(RefineConfig(output=str(runs / "refined"), workers=1, keep_original=True, **config)).run()
    assert {one.headers["authorization"] for one in scripted.seen} == {f"Bearer {KEYS['MY_SERVER_KEY']}"}
    target = tmp_path / "target.jsonl"
    target.write_text('{"text": "Whales sing for hours in the deep sea."}\n')
    for command in (
        ["select", runs / "refined", runs / "selected", "--target", target, "--budget", "50%", "--workers", "1"],
        ["tokenize", runs / "selected", runs / "store", "--tokenizer", tmp_path / "tokenizer", "--workers", "1"],
        ["report", runs / "refined", "--html", runs / "refined.html"],
        ["report", runs / "selected", "--html", runs / "selected.html"],
        ["status", runs / "refined"],
    ):
        assert main([str(part) for part in command]) == 0, command
    assert leaks(runs) == {}
    said = capfd.readouterr()
    assert found_in((said.out + said.err).encode()) == set()
    # The address of a page is the page's own and stays in its column; what shows it leaves user and password out.
    needles = {needle: "url" for needle in spellings(IN_URLS)}
    told = {name for name in leaks(runs, needles) if name.split("/")[1:2] not in (["data"], ["tokens"])}
    assert told == set()
    assert found_in((said.out + said.err).encode(), needles) == set()


def test_what_is_pickled_for_a_cluster(planted, scripted, pages, tmp_path):
    config = RefineConfig(
        input=str(pages.parent), output=str(tmp_path / "out"), chunk_refiner=server_refiner(scripted), tasks=2
    )
    last = refine_pipeline(config, slurm={"time": "1:00:00", "partition": "cpu"})
    refiner = config.chunk_refiner
    refiner._start()  # connections are open, and headers made
    for pickled in (dill.dumps(last), dill.dumps(last.depends), pickle.dumps(refiner), repr(refiner).encode()):
        assert found_in(pickled) == set()
    assert found_in(json.dumps(last.depends.get_sbatch_args(), default=repr).encode()) == set()
    refiner.close()


def test_a_failing_rank_tells_no_key(planted, scripted, pages, tmp_path, capfd):
    """loguru prints the values of variables beside a traceback; the headers are in none."""
    scripted.stop()
    policy = ServerPolicy(timeout_s=1.0, deadline_s=1.0, backoff_s=0.01, give_up_s=0.1, retries=1)
    refiner = ServerRefiner(scripted.url, "tiny", preset="prox-web-chunk", api_key_env="MY_SERVER_KEY", policy=policy)
    config = RefineConfig(input=str(pages.parent), output=str(tmp_path / "out"), chunk_refiner=refiner, workers=1)
    with pytest.raises(RanksFailedError, match="has answered nobody"):
        refine_pipeline(config).run()
    assert leaks(tmp_path / "out") == {}
    said = capfd.readouterr()
    assert found_in((said.out + said.err).encode()) == set()


@pytest.mark.slow
def test_logs_print_no_values_of_variables(pages, tmp_path):
    """loguru would, pages and all, beside the traceback of a task that fails."""
    (pages.parent / "torn.jsonl.gz").write_bytes(gzip.compress(pages.read_bytes())[:-20])
    code = "import sys; from hf_curation.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "refine", pages.parent, tmp_path / "out", "--tasks", "1", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    log = (tmp_path / "out/logs/logs/task_00000.log").read_text()
    assert "torn.jsonl.gz: damaged or cut off" in log
    assert "Traceback" in log
    assert IN_URLS not in log
    assert "└" not in log


def test_a_key_in_the_place_of_its_name(scripted, pages, tmp_path, capfd):
    for key in (KEYS["OPENAI_API_KEY"], KEYS["HF_TOKEN"], KEYS["MY_SERVER_KEY"]):
        refiner = ServerRefiner(scripted.url, "tiny", preset="prox-web-chunk", api_key_env=key)
        with pytest.raises(ValueError, match="takes the NAME of a variable") as caught:
            refiner.write(refiner.windows("A page."))
        assert key not in str(caught.value)


ADDRESSES = [
    "https://reader:{}@host.example/pages.jsonl",
    "https://{}@host.example/pages.jsonl",
    "https://host.example/pages.jsonl?X-Amz-Signature={}",
    "s3://AKIA:{}@bucket/pages",
    "zip://pages.jsonl::https://reader:{}@host.example/pages.zip",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("verb", ["refine", "select", "tokenize"])
def test_addresses_with_keys_are_refused_without_repeating_them(verb, address, tmp_path, capfd):
    url = address.format(IN_URLS)
    more = {"refine": [], "select": ["--target", url], "tokenize": ["--tokenizer", "x"]}[verb]
    assert main([verb, url, str(tmp_path / "out"), *more]) == 1
    said = capfd.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "would be written into plan and logs" in said.err
    assert IN_URLS not in said.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_reader_is_not_made_with_a_key(address):
    """An executor writes its steps down before it runs them, and loguru prints them when one fails."""
    with pytest.raises(ValueError, match="would be written into plan and logs") as caught:
        ReadDocuments(address.format(IN_URLS))
    assert IN_URLS not in str(caught.value)


@pytest.mark.parametrize("address", ["hf://datasets/you/pages@main/data", "memory://x", "abfs://box@account/pages"])
def test_addresses_without_keys_are_none_of_that(address):
    from hf_curation.files.addresses import check_address

    check_address(address)


@pytest.mark.slow
def test_secrets_do_not_belong_into_configurations(tmp_path, monkeypatch):
    """What is resolved is written to `config.yaml`, and to `meco_config.yaml`, which is pushed."""
    monkeypatch.syspath_prepend(str(ROOT / "recipes/meco_pretrain"))
    before = sys.modules.pop("meco_config", None)
    try:
        from meco_config import Config
    finally:
        sys.modules.pop("meco_config", None)
        if before is not None:
            sys.modules["meco_config"] = before
    with pytest.raises(ValueError, match="hub_token is a secret, and the configuration is written") as caught:
        resolve(Config, None, ["--documents", "x.jsonl", "--training.hub_token", KEYS["HF_TOKEN"]])
    assert KEYS["HF_TOKEN"] not in str(caught.value)


@pytest.mark.slow
def test_a_push_sends_no_key_along(planted, tmp_path, monkeypatch):
    """The token is in the request's header, which the local Hub checks and does not keep, and nowhere else."""
    hub = tmp_path / "hub"
    hub.mkdir()
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests/minihub/server.py", "--root", hub], stdout=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().split()[-1]
        code = (
            "from pathlib import Path; from hf_curation.evaluation.gold_pages import GoldPage;"
            "from hf_curation.hub.training_data import push_training_set;"
            "from hf_curation.refiners.training import TrainingDataConfig, make_training_set, write_training_set;"
            f"folder = Path({str(tmp_path / 'set')!r}); config = TrainingDataConfig();"
            "pages = [GoldPage('p', 'Menu\\nWhales sing.', 'Whales sing.', None)];"
            "write_training_set(make_training_set(pages, config), folder, config);"
            "print(push_training_set(folder, 'me/canary'))"
        )
        environment = {"HF_ENDPOINT": url, "HF_TOKEN": "hf_test", "HF_HOME": str(tmp_path / "home")}
        environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    finally:
        process.terminate()
        process.wait()
    needles = NEEDLES | {needle: "HF_TOKEN" for needle in spellings("hf_test")}
    assert found_in((done.stdout + done.stderr).encode(), needles) == set()
    for folder in (hub, tmp_path / "set"):
        assert leaks(folder, needles) == {}
