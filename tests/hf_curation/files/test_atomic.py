import gzip
import os
from hashlib import sha256

import pytest

from hf_curation.files.atomic import PartFile, canonical_json, remove_parts, write_json, write_whole


def test_the_name_appears_only_when_the_file_is_whole(tmp_path):
    target = tmp_path / "deep" / "file.bin"
    part = PartFile(target)
    part.write(b"hello ")
    part.write(memoryview(b"world"))
    assert not target.exists()
    part.finish()
    assert not target.exists()
    part.publish()
    assert target.read_bytes() == b"hello world"
    assert part.num_bytes == 11
    assert part.sha256 == sha256(b"hello world").hexdigest()
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_publishing_replaces_what_was_there(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    write_whole(target, b"new")
    assert target.read_bytes() == b"new"


def test_an_error_leaves_the_old_file_and_no_part(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def write():
        with PartFile(target) as part:
            part.write(b"half")
            raise RuntimeError("oops")

    with pytest.raises(RuntimeError, match="oops"):
        write()
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_two_attempts_do_not_share_a_part(tmp_path):
    one, two = PartFile(tmp_path / "file"), PartFile(tmp_path / "file")
    one.write(b"1")
    two.write(b"22")
    one.publish()
    two.publish()
    assert (tmp_path / "file").read_bytes() == b"22"


def test_a_library_that_closes_or_flushes_late_does_no_harm(tmp_path):
    part = PartFile(tmp_path / "file.gz")
    stream = gzip.GzipFile(fileobj=part, mode="wb", mtime=0, filename="")
    stream.write(b"x" * 1000)
    part.discard()
    stream.close()  # still wants to write its trailer
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failing_disk_raises_and_publishes_nothing(tmp_path, monkeypatch, failing):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "file", b"data")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


def test_left_over_parts_are_swept(tmp_path):
    PartFile(tmp_path / "a" / "x").write(b"killed")
    write_whole(tmp_path / "a" / "y", b"done")
    assert remove_parts(tmp_path) == 1
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["y"]


def test_json_is_canonical(tmp_path):
    assert canonical_json({"b": 1, "a": [2]}) == canonical_json({"a": [2], "b": 1}) == b'{"a":[2],"b":1}'
    write_json(tmp_path / "x.json", {"b": 1, "a": 2})
    assert (tmp_path / "x.json").read_text() == '{\n  "a": 2,\n  "b": 1\n}\n'
    write_json(tmp_path / "x.json", {"b": 1, "a": 2}, keep_order=True)
    assert (tmp_path / "x.json").read_text() == '{\n  "b": 1,\n  "a": 2\n}\n'
