"""Kernels against Python's own: character classes, lower case, SHA-256, finding words."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("numba")

from hf_curation.sampling.kernels import sha256
from hf_curation.sampling.kernels.code_points import BY_PYTHON, OTHER, SPACE, WORD, code_point_table

NUM_LANES = sha256.LANES


def test_code_points_are_those_of_str():
    table = code_point_table()
    by_python = []
    for point in (*range(0xD800), *range(0xE000, 0x110000)):
        letter, small = chr(point), chr(point).lower()
        kind, lower = table[point] & 3, table[point] >> 2
        if kind == BY_PYTHON:
            by_python.append(point)
            assert letter.isalnum()
            continue
        assert kind == (WORD if letter.isalnum() or letter == "_" else SPACE if letter.isspace() else OTHER)
        assert chr(lower) == small
        assert len(small.encode()) == len(letter.encode())
        assert table[lower] & 3 == kind, "the class is that of the lower case, which is what DSIR looks at"
        assert small.lower() == small, "a text that Python has lowered goes through the kernel again"
    assert 0x3A3 in by_python
    assert 0x130 in by_python
    assert not any(table[ord(c)] & 3 == BY_PYTHON for p in by_python for c in chr(p).lower())
    assert (table[0xD800:0xE000] & 3 == OTHER).all()


@pytest.mark.parametrize("num_buckets", [1, 2, 9_999, 10_000, 1 << 28])
def test_sha256_of_every_length(num_buckets):
    """Each message alone in its lane, block by block: against hashlib."""
    rng = np.random.default_rng(0)
    for length in (*range(130), 1000):
        lanes = sha256.make_lanes()
        data = rng.integers(0, 256, length, dtype=np.uint8)
        message = np.empty(length + 72, np.uint8)
        message[:length] = data
        lane = length % NUM_LANES
        sha256.reset(lanes.state)
        for block in range(sha256.pad(message, length)):
            sha256.fill_lane(message, 64 * block, lane, lanes.words)
            sha256.compress(lanes)
        digest = hashlib.sha256(data.tobytes()).digest()
        assert (
            sha256.lane_bucket(lanes.state, lane, np.uint64(num_buckets))
            == int.from_bytes(digest, "big") % num_buckets
        )
