"""A disk that fails at any write, flush or rename of a run: exit code 1, a line that says so, nothing half done.

Every call by which a run puts bytes or names on the disk is counted in a clean run; then runs follow in which the
n-th of them fails: with EIO once, or for good with a full disk or quota. What such a run leaves must be true (every
manifest lists files that are there, whole), and the same command on a mended disk must end like the clean run, byte
for byte. datatrove 0.10 logs a warning for each document that it cannot write, and marks the rank completed.
"""

import builtins
import errno
import io
import json
import os
import resource
from contextlib import contextmanager
from hashlib import sha256

import pytest

from hf_curation.files.atomic import PartFile, write_whole

VERBS = ("refine", "select", "tokenize")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "pages.jsonl"
    lines = [json.dumps({"id": f"d{i}", "text": f"Home | Login\nWhales sing, number {i}.\n"}) for i in range(40)]
    path.write_text("\n".join([*lines[:20], "not json", *lines[20:]]) + "\n")
    return path


class Disk:
    """Counts what goes to the disk, and fails from (or at) the call `fail_at`."""

    def __init__(self, fail_at=None, number=errno.ENOSPC, for_good=True):
        self.calls = 0
        self.fail_at, self.number, self.for_good = fail_at, number, for_good

    def check(self):
        here, self.calls = self.calls, self.calls + 1
        if self.fail_at is not None and (here == self.fail_at or (self.for_good and here > self.fail_at)):
            raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def disk(monkeypatch):
    """Put a `Disk` under everything that runs inside."""

    @contextmanager
    def use(disk):
        def checked(function):
            def call(*args, **kwargs):
                disk.check()
                return function(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(PartFile, "write", checked(PartFile.write))
            for name in ("fsync", "replace"):
                patch.setattr(os, name, checked(getattr(os, name)))
            yield disk

    return use


def assert_true(folder):
    """What manifests say is so, and nothing unfinished lies about."""
    assert not list(folder.rglob("*.part"))
    for path in folder.glob("manifests/**/*.json"):
        for output in json.loads(path.read_bytes())["outputs"]:
            assert sha256((folder / output["name"]).read_bytes()).hexdigest() == output["sha256"]


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_disk_that_fails_anywhere(verb, pages, tmp_path, launch, disk, contents, capsys):
    with disk(Disk()) as clean:
        assert launch(verb, pages, tmp_path / "clean") == 0
    expected = contents(tmp_path / "clean")
    step = max(1, clean.calls // 10)
    places = sorted({*range(0, clean.calls, step), 1, clean.calls - 1})
    for number, place in enumerate(places):
        out = tmp_path / str(place)
        faults = (Disk(place), Disk(place, errno.EIO, for_good=False), Disk(place, errno.EDQUOT))
        fault = faults[number % 3]
        capsys.readouterr()
        with disk(fault):
            assert launch(verb, pages, out) == 1, place
        assert os.strerror(fault.number) in capsys.readouterr().err
        assert_true(out)
        assert launch(verb, pages, out) == 0
        assert contents(out) == expected, place


@contextmanager
def largest_file(num_bytes):
    """Let no file of this process grow past `num_bytes`: the system itself refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("num_bytes", [0, 300, 2500])
def test_files_that_may_not_grow(verb, num_bytes, pages, tmp_path, launch, contents, capsys):
    """The same for real, and for the files that datatrove writes (logs, statistics, markers) as well as for ours."""
    with largest_file(num_bytes):
        code = launch(verb, pages, tmp_path / "out")
    assert code == 1
    assert "File too large" in capsys.readouterr().err
    assert_true(tmp_path / "out")
    assert launch(verb, pages, tmp_path / "out") == 0
    assert launch(verb, pages, tmp_path / "clean") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "clean")


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_that_takes_nothing(verb, pages, tmp_path, launch, monkeypatch, capsys):
    out = tmp_path / "out"

    def refusing(function, is_write):
        def call(path, *args, **kwargs):
            if str(path).startswith(str(out)) and is_write(*args, **kwargs):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return function(path, *args, **kwargs)

        return call

    # By mode bits root would not be refused, and tests may run as root.
    opened = refusing(io.open, lambda mode="r", *_, **__: set(mode) & set("wax+"))
    monkeypatch.setattr(io, "open", opened)
    monkeypatch.setattr(builtins, "open", opened)
    monkeypatch.setattr(os, "mkdir", refusing(os.mkdir, lambda *_, **__: True))
    assert launch(verb, pages, out) == 1
    err = capsys.readouterr().err
    assert "Read-only file system" in err
    assert err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_names_that_are_too_long(verb, pages, tmp_path, launch, capsys):
    for source, output in ((pages, tmp_path / ("o" * 300)), (tmp_path / ("i" * 300), tmp_path / "out")):
        assert launch(verb, source, output) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "File name too long" in err or "there is nothing at" in err
    longest = tmp_path / ("é" * 124 + ".jsonl")  # 254 bytes
    longest.write_bytes(pages.read_bytes())
    assert launch(verb, longest, tmp_path / "out") == 0


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127])
def test_the_longest_name_can_be_written(name, tmp_path):
    """The part that stands beside a file until it is whole must find room for its own name."""
    write_whole(tmp_path / name, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]
