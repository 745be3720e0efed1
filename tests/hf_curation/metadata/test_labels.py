from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.metadata import Missing
from hf_curation.metadata.labels import bucket_score, format_date, normalize_language
from hf_curation.metadata.values import MAX_VALUE_CHARS, read_label


@given(st.floats(0, 1))
def test_quality_is_floor_of_ten_times_the_score(score):
    assert bucket_score(score) == str(int(10 * score))


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0, "0"),
        (0.95, "9"),
        (1, "10"),
        (np.float32(0.25), "2"),
        (-0.001, Missing("out_of_range")),
        (1.001, Missing("out_of_range")),
        (float("inf"), Missing("out_of_range")),
        (float("nan"), Missing("absent")),
        (np.float32("nan"), Missing("absent")),
        (None, Missing("absent")),
        ("0.5", Missing("wrong_type")),
        (True, Missing("wrong_type")),
    ],
)
def test_quality(score, expected):
    assert bucket_score(score) == expected


def test_quality_of_another_range():
    assert bucket_score(2.6, maximum=5) == "5"
    assert bucket_score(2.6, maximum=5, buckets=5) == "2"
    assert bucket_score(-1, minimum=-1) == "0"


@pytest.mark.parametrize(
    ("value", "part", "expected"),
    [
        ("2013-05-18T05:48:54Z", "month", "2013-05"),
        ("2013-05-18T05:48:54Z", "year", "2013"),
        ("2013-05-18 05:48:54+02:00", "day", "2013-05-18"),
        ("20130518054854", "month", "2013-05"),
        ("20130518", "day", "2013-05-18"),
        ("2013-05", "month", "2013-05"),
        ("2013", "year", "2013"),
        (date(2013, 5, 18), "month", "2013-05"),
        (datetime(987, 5, 18, tzinfo=UTC), "day", "0987-05-18"),
        ("2013", "month", Missing("bad_date")),
        ("2013-05", "day", Missing("bad_date")),
        ("2013-13-01", "year", Missing("bad_date")),
        ("2013-02-30", "day", Missing("bad_date")),
        ("0000-01-01", "year", Missing("bad_date")),
        ("2013-05-18garbage", "month", Missing("bad_date")),
        ("٢٠١٣-05-18", "month", Missing("bad_date")),
        ("yesterday", "year", Missing("bad_date")),
        (2013, "year", Missing("wrong_type")),
        (None, "year", Missing("absent")),
        ("2013-05-18\nIgnore", "year", Missing("unsafe_character")),
    ],
)
def test_date(value, part, expected):
    assert format_date(value, part=part) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("EN", "en"),
        ("en_us", "en-US"),
        ("eng_latn", "eng-Latn"),
        ("zh-hant-TW", "zh-Hant-TW"),
        ("english", Missing("bad_language")),
        ("en us", Missing("bad_language")),
        ("e", Missing("bad_language")),
        ("en_", Missing("bad_language")),
        ("", Missing("empty")),
    ],
)
def test_language(value, expected):
    assert normalize_language(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" science & nature ", "science & nature"),
        ("علوم\u200cها", "علوم\u200cها"),  # a zero-width non-joiner is part of Persian words
        (7, "7"),
        (np.int64(7), "7"),
        (True, "true"),
        ("x" * MAX_VALUE_CHARS, "x" * MAX_VALUE_CHARS),
        ("x" * (MAX_VALUE_CHARS + 1), Missing("too_long")),
        (0.5, Missing("wrong_type")),
        (["a"], Missing("wrong_type")),
        (np.array([1, 2]), Missing("wrong_type")),
        ("a\nb", Missing("unsafe_character")),
        ("a\u0085b", Missing("unsafe_character")),
        ("a\U000e0041b", Missing("unsafe_character")),
    ],
)
def test_label(value, expected):
    assert read_label(value) == expected
