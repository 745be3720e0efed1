"""Backoff, `Retry-After`, and the circuit breaker on a clock that the test holds."""

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from hf_curation.refiners.server import ServerPolicy
from hf_curation.refiners.server.pacing import Breaker, backoff_s, parse_retry_after

NOW = datetime(2026, 11, 5, 12, 0, 0, tzinfo=UTC)


def rng(seed: object) -> random.Random:
    return random.Random(str(seed))  # noqa: S311


def test_backoff_is_full_jitter_below_a_doubling_bound() -> None:
    policy = ServerPolicy(backoff_s=1.0, max_backoff_s=6.0)
    for attempt, bound in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 6.0), (5000, 6.0)):
        pauses = [backoff_s(attempt, policy, rng(seed)) for seed in range(200)]
        assert 0 <= min(pauses) < 0.1 * bound
        assert 0.9 * bound < max(pauses) <= bound
    assert backoff_s(3, policy, rng("a")) == backoff_s(3, policy, rng("a"))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("99999", 60.0),
        ("Thu, 05 Nov 2026 12:00:30 GMT", 30.0),
        ("Thu, 05 Nov 2026 11:00:00 GMT", 0.0),
        ("Thu, 05 Nov 2099 11:00:00 GMT", 60.0),
        ("Thu, 05 Nov 2026 12:00:10", 10.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("٣", None),
        ("1e9", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, 60.0, now=NOW) == seconds


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(ServerPolicy(breaker_failures=3, backoff_s=1.0, max_backoff_s=8.0))


def test_closed_until_enough_failures_in_a_row(breaker: Breaker) -> None:
    breaker.failed(1.0, started=0.0)
    breaker.failed(2.0, started=0.0)
    assert breaker.admit(2.0) == 0
    breaker.answered(3.0)
    breaker.failed(4.0, started=3.0)
    breaker.failed(5.0, started=3.0)
    assert not breaker.is_open
    breaker.failed(6.0, started=3.0)
    assert breaker.is_open
    assert breaker.admit(6.0) == 1.0


def open_it(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.failed(10.0, started=9.0)


def test_half_open_lets_one_probe_through_and_pauses_double(breaker: Breaker) -> None:
    open_it(breaker)
    now = 10.0
    for pause in (1.0, 2.0, 4.0, 8.0, 8.0):
        assert breaker.admit(now) == pytest.approx(pause)
        now += pause
        assert breaker.admit(now) == 0  # the probe
        assert breaker.admit(now) > 0  # nobody beside it
        breaker.failed(now, started=now)
    assert breaker.num_opened == 1
    assert breaker.sick_for_s(now) == now - 10.0


def test_an_answered_probe_closes_the_circuit(breaker: Breaker) -> None:
    open_it(breaker)
    assert breaker.admit(11.0) == 0
    breaker.answered(11.5)
    assert [breaker.admit(11.5) for _ in range(3)] == [0, 0, 0]
    assert breaker.sick_for_s(12.0) == 0


def test_failures_sent_before_the_circuit_opened_say_nothing_new(breaker: Breaker) -> None:
    open_it(breaker)
    for _ in range(30):
        breaker.failed(10.5, started=9.5)
    assert breaker.admit(10.5) == 0.5


def test_a_cancelled_probe_frees_its_place_and_another_request_does_not(breaker: Breaker) -> None:
    open_it(breaker)
    assert breaker.admit(11.0) == 0
    breaker.dropped(9.5)
    assert breaker.admit(11.0) > 0
    breaker.dropped(11.0)
    assert breaker.admit(11.0) == 0


def test_retry_after_holds_everybody_back_without_opening(breaker: Breaker) -> None:
    breaker.failed(1.0, started=0.0, retry_after_s=30.0)
    assert not breaker.is_open
    assert breaker.admit(2.0) == 29.0
    assert breaker.admit(31.0) == 0


def test_a_sign_of_life_ends_the_outage_but_not_the_probing(breaker: Breaker) -> None:
    open_it(breaker)
    breaker.lives(20.0)
    assert breaker.sick_for_s(30.0) == 0
    assert breaker.last_life == 20.0
    assert breaker.is_open


def test_forget_dates_the_next_outage_from_its_own_start(breaker: Breaker) -> None:
    open_it(breaker)
    breaker.forget()
    breaker.failed(5000.0, started=4999.0)
    assert breaker.sick_for_s(5001.0) == 1.0
    assert breaker.admit(5001.0) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0},
        {"max_concurrency": 0},
        {"retries": -1},
        {"max_failed_fraction": 1.5},
        {"give_up_s": float("nan")},
    ],
)
def test_policy_says_what_is_wrong(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ServerPolicy(**wrong)


def test_the_fast_policy_of_these_tests_is_valid(fast: Callable[..., ServerPolicy]) -> None:
    assert fast(retries=0).retries == 0
