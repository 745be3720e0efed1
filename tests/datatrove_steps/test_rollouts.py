"""Rollouts under datatrove's own runner and executor, against a local server that speaks the OpenAI protocol."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.inference.run_inference import InferenceConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from datatrove_steps.inference import RefineRunner
from datatrove_steps.refine import RefineChunks
from datatrove_steps.rollouts import RefineRollout
from hf_curation.refiners.server import (
    RequestForm,
    ServerDown,
    ServerPolicy,
    ServerRefiner,
)

PAGE = "Menu | Login | Sign up\nWhales sing, and they sing for hours, so that others may hear them.\n{}\n(c) 2020"
Script = Callable[[dict[str, Any], int], tuple[int, dict[str, str] | Any]]


def completion(text: str | None, finish_reason: str = "stop") -> dict[str, Any]:
    return {
        "choices": [{"text": text, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4},
    }


def program_for(prompt: str) -> str:
    """A program that depends on the page only: what every path must come to the same result with."""
    if "drop me" in prompt:
        return "drop_doc()"
    if "[doc]" not in prompt:
        return "keep_doc()"
    return "keep_chunk()" if "keep me" in prompt else "remove_lines(line_start=0, line_end=0)"


class Server:
    def __init__(self) -> None:
        self.script: Script = lambda body, number: (200, completion(program_for(body["prompt"])))
        self.asked: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._send(200, {"data": []})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.asked.append(body)
                    number = len(outer.asked)
                self._send(*outer.script(body, number))

            def _send(self, status: int, answer: Any) -> None:
                payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.http.shutdown()
    one.http.server_close()


@pytest.fixture
def policy() -> ServerPolicy:
    return ServerPolicy(retries=3, backoff_s=0.01, max_backoff_s=0.02, deadline_s=20.0, failures_allowed=3)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for shard in range(2):
        rows = [
            {"id": f"{shard}-{i}", "text": PAGE.format(word), "url": f"https://e.org/{i}"}
            for i, word in enumerate(["edit me", "keep me", "drop me", "edit me too", "keep me also"])
        ]
        (folder / f"{shard}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def launch(server: Server, pages: Path, tmp_path: Path, policy: ServerPolicy) -> Callable[..., LocalPipelineExecutor]:
    """Run a rollout over the pages with datatrove's executor; `out` and `logs` are its folders."""

    def make(
        rollout: RefineRollout | None = None, tasks: int = 2, source: Any = None, **options: Any
    ) -> LocalPipelineExecutor:
        config = InferenceConfig(
            server_type="endpoint",
            model_name_or_path="tiny",
            endpoint_url=server.url,
            use_chat=False,
            metric_interval=99,
        )
        rollout = rollout or RefineRollout(RequestForm("prox-web-chunk"), policy=policy)
        name = "${rank}_${chunk_index}.jsonl" if "checkpoints_local_dir" in options else "${rank}.jsonl"
        writer = JsonlWriter(str(tmp_path / "out"), output_filename=name, compression=None)
        return LocalPipelineExecutor(
            [source or JsonlReader(str(pages)), RefineRunner(rollout, config, writer, **options)],
            tasks=tasks,
            workers=1,
            logging_dir=str(tmp_path / "logs"),
        )

    return make


def written(tmp_path: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for path in sorted((tmp_path / "out").glob("*.jsonl")) for line in path.open()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


def stats(tmp_path: Path) -> dict[str, Any]:
    return {
        key: value["total"] if isinstance(value, dict) else value
        for key, value in json.loads((tmp_path / "logs" / "stats.json").read_text())[-1]["stats"].items()
    }


def test_chunk_stage_end_to_end(launch: Any, tmp_path: Path, server: Server) -> None:
    launch().run()
    rows = written(tmp_path)
    assert sorted(rows) == [f"{shard}-{i}" for shard in range(2) for i in range(5)]
    row = rows["0-0"]
    assert row["text"] == PAGE.format("edit me").split("\n", 1)[1]
    assert row["metadata"]["url"] == "https://e.org/0"
    assert row["metadata"]["refine_status"] == "edited"
    assert row["metadata"]["chunk_program"] == "remove_lines(line_start=0, line_end=0)"
    assert row["metadata"]["rollout_results"] == [
        {"status": "edited", "windows": 1, "prompt_tokens": 9, "output_tokens": 4}
    ]
    assert rows["0-2"]["metadata"]["refine_rejected"] == ["wrong_stage"], "drop_doc() is no chunk program"
    counts = stats(tmp_path)
    assert (counts["edited"], counts["kept"], counts["rejected_wrong_stage"]) == (4, 6, 2)
    assert server.asked[0]["model"] == "tiny"


def test_document_stage_leaves_dropped_documents_out(launch: Any, tmp_path: Path, policy: ServerPolicy) -> None:
    launch(RefineRollout(RequestForm("prox-web-doc"), policy=policy)).run()
    rows = written(tmp_path)
    assert sorted(rows) == [f"{shard}-{i}" for shard in range(2) for i in (0, 1, 3, 4)]
    assert {row["metadata"]["doc_program"] for row in rows.values()} == {"keep_doc()"}
    assert stats(tmp_path)["dropped_drop_doc"] == 2


def test_dropped_documents_can_be_kept_and_marked(launch: Any, tmp_path: Path, policy: ServerPolicy) -> None:
    launch(RefineRollout(RequestForm("prox-web-doc"), policy=policy, keep_dropped=True)).run()
    row = written(tmp_path)["1-2"]
    assert row["text"] == PAGE.format("drop me")
    assert (row["metadata"]["refine_status"], row["metadata"]["filter_reason"]) == ("dropped", "drop_doc")


def test_same_result_as_the_step(launch: Any, tmp_path: Path, server: Server, pages: Path) -> None:
    """The twin: `RefineChunks` with a `ServerRefiner` on the same server."""
    launch().run()
    with ServerRefiner(server.url, "tiny", preset="prox-web-chunk") as refiner:
        expected = {doc.id: doc for doc in RefineChunks(refiner)(JsonlReader(str(pages))())}
    rows = written(tmp_path)
    assert rows.keys() == expected.keys()
    for name, row in rows.items():
        assert row["text"] == expected[name].text
        columns = {key: row["metadata"][key] for key in row["metadata"] if key != "rollout_results"}
        assert columns == {key: expected[name].metadata[key] for key in columns}


def test_a_dead_server_ends_the_step_and_quarantines_nobody() -> None:
    policy = ServerPolicy(give_up_s=0.2, backoff_s=0.01, max_backoff_s=0.02)
    refiner = ServerRefiner("http://127.0.0.1:9/v1", "tiny", preset="prox-web-chunk", policy=policy)
    documents = [Document(text=f"Whales sing {i}.", id=str(i)) for i in range(3)]
    with pytest.raises(ServerDown):
        list(RefineChunks(refiner)(documents))


@pytest.mark.parametrize(
    "bad",
    [
        (429, b"slow down"),
        (502, b"<html>bad gateway</html>"),
        (503, b""),
        (200, b"<html>log in</html>"),
        (200, {"choices": []}),
    ],
)
def test_bad_answers_are_tried_again(bad: tuple[int, Any], launch: Any, tmp_path: Path, server: Server) -> None:
    good = server.script
    server.script = lambda body, number: bad if number in (1, 2, 5) else good(body, number)
    launch().run()
    assert len(written(tmp_path)) == 10
    assert "fallback" not in stats(tmp_path)
    assert len(server.asked) == 13


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ((400, {"error": {"message": "maximum context length is 9"}}), "refiner_failed"),
        ((429, b""), "refiner_failed"),
        ((200, completion(None)), "empty_output"),
        ((200, completion("remove_lines(line_start=0, line_e", "length")), "unparsed"),
        ((200, completion("I would remove the menu.")), "unparsed"),
    ],
)
def test_a_page_without_a_usable_answer_is_kept_and_counted(
    bad: tuple[int, Any], word: str, launch: Any, tmp_path: Path, server: Server
) -> None:
    good = server.script
    server.script = lambda body, number: bad if "keep me also" in body["prompt"] else good(body, number)
    launch().run()
    row = written(tmp_path)["0-4"]
    assert row["text"] == PAGE.format("keep me also")
    assert row["metadata"]["refine_status"] == "fallback"
    assert row["metadata"]["refine_fallbacks"] == [word]
    assert stats(tmp_path)[f"fallback_{word}"] == 2


def test_a_server_that_breaks_ends_the_rank_and_a_rerun_goes_on(launch: Any, tmp_path: Path, server: Server) -> None:
    good = server.script
    server.script = lambda body, number: (500, b"dead") if number == 8 else good(body, number)
    options = {"checkpoints_local_dir": str(tmp_path / "checkpoints"), "records_per_chunk": 2}
    with pytest.raises(Exception, match="dead"):
        launch(**options).run()
    assert not (tmp_path / "logs" / "completions" / "00001").exists()
    launch(**options).run()
    assert (tmp_path / "logs" / "completions" / "00001").exists()
    assert len(written(tmp_path)) == 10


def test_a_writer_that_fails_ends_the_rank(launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: JsonlWriter, document: Document, **where: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JsonlWriter, "write", full)
    with pytest.raises(OSError, match="the writer failed on 5 documents of rank 0"):
        launch().run()
    assert not (tmp_path / "logs" / "completions" / "00000").exists()


def test_the_runner_keeps_what_it_cannot_write(launch: Any, tmp_path: Path) -> None:
    source = [Document(text="half \ud800 pair", id="bad"), Document(text=PAGE.format("keep me"), id="good")]
    launch(tasks=1, source=source, quarantine=tmp_path / "quarantine").run()
    assert list(written(tmp_path)) == ["good"]
    (row,) = [json.loads(line) for line in (tmp_path / "quarantine" / "chunk-00000.jsonl").open()]
    assert (row["id"], row["reason"], row["text"]) == ("bad", "lone_surrogate", "half \ud800 pair")
    assert stats(tmp_path)["quarantined_lone_surrogate"] == 1
