import io
import os
import subprocess
import sys
import time

from hf_curation.cli.watching import Progress, stderr_to


def test_everything_that_goes_to_stderr_goes_to_the_log(tmp_path):
    code = f"""
import os, subprocess, sys
from pathlib import Path
from hf_curation.cli.watching import stderr_to
with stderr_to(Path({str(tmp_path)!r}, "log")) as screen:
    print("python", file=sys.stderr)
    os.write(2, b"descriptor\\n")
    subprocess.run([sys.executable, "-c", "import sys; print('child', file=sys.stderr)"])
    print("screen", file=screen)
print("after", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["screen", "after"]
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["child", "descriptor", "python"]


def test_stderr_comes_back_after_an_error(tmp_path):
    before = sys.stderr
    try:
        with stderr_to(tmp_path / "log"):
            os.write(2, b"inside\n")
            raise RuntimeError
    except RuntimeError:
        pass
    assert sys.stderr is before
    assert (tmp_path / "log").read_text() == "inside\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def folder_of_a_run(tmp_path):
    for name, text in (("logs/progress/00000", "40"), ("logs/progress/00001", "2"), ("manifests/00000.json", "{}")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_progress_is_read_from_the_folder(tmp_path):
    progress = Progress(folder_of_a_run(tmp_path), 3, io.StringIO())
    assert progress.count() == (42, 1)
    (tmp_path / "logs" / "progress" / "00002").write_text("")
    assert progress.count() == (42, 1), "a file that is just being written does not matter"


def test_lines_where_there_is_no_terminal(tmp_path, monkeypatch):
    from hf_curation.cli import watching

    monkeypatch.setattr(watching, "_POLL_S", 0.01)
    monkeypatch.setattr(watching, "_LINE_EVERY_S", 0.02)
    stream = io.StringIO()
    with Progress(folder_of_a_run(tmp_path), 3, stream):
        time.sleep(0.2)
    assert stream.getvalue().splitlines()[0] == "42 documents, 1 of 3 tasks finished"


def test_a_bar_on_a_terminal(tmp_path, monkeypatch):
    from hf_curation.cli import watching

    monkeypatch.setattr(watching, "_POLL_S", 0.01)
    stream = Terminal()
    with Progress(folder_of_a_run(tmp_path), 3, stream):
        (tmp_path / "logs" / "progress" / "00000").write_text("100")
        time.sleep(0.3)
    assert "1 of 3 tasks" in stream.getvalue()
    assert "documents" in stream.getvalue()


def test_passes_are_told_by_name(tmp_path, monkeypatch):
    from hf_curation.cli import watching
    from hf_curation.cli.watching import StageProgress

    monkeypatch.setattr(watching, "_POLL_S", 0.01)
    monkeypatch.setattr(watching, "_LINE_EVERY_S", 0.02)
    for name, ranks in (("count", 2), ("weigh", 1)):
        for rank in range(ranks):
            path = tmp_path / "manifests" / name / f"{rank:05d}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
    (tmp_path / "logs" / "weigh" / "progress").mkdir(parents=True)
    (tmp_path / "logs" / "weigh" / "progress" / "00000").write_text("1234")
    stream = io.StringIO()
    passes = [("count", 2), ("weigh", 3), ("keep", 3)]
    with StageProgress(tmp_path, passes, stream) as progress:
        time.sleep(0.2)
    assert stream.getvalue().splitlines()[0] == "weigh: 1,234 documents, 1 of 3 tasks finished"
    for rank in range(1, 3):
        (tmp_path / "manifests" / "weigh" / f"{rank:05d}.json").write_text("{}")
    (tmp_path / "manifests" / "00000.json").write_text("{}")
    assert progress.count() == (0, 1)
    assert progress.title == "keep"
