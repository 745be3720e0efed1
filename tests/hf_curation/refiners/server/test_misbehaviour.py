"""One test per way in which a server can fail: retried, a counted error, or the end of the run; nothing is lost."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hf_curation.refiners.base import Draft, Window
from hf_curation.refiners.server import ServerDown, ServerRefiner, ServerRefused, TooManyFailures

Make = Callable[..., ServerRefiner]
Windows = Callable[[int], list[Window]]
KEEP = Draft("keep_chunk()", "stop", None, 7, 3)


def first_replies(server: Any, answers: Any, *bad: Any) -> None:
    """Answer the first requests with `bad`, all later ones well."""
    left = list(bad)
    server.script = lambda seen: left.pop(0) if left else answers("keep_chunk()")


def test_down_at_start_then_up(server: Any, refiner: Make, windows: Windows) -> None:
    server.stop()
    one = refiner(policy={"give_up_s": 20.0})

    def start_late() -> None:
        while one.stats.failures["unreachable"] < 6:
            time.sleep(0.01)
        server.start()

    threading.Thread(target=start_late).start()
    assert one.write(windows(5)) == [KEEP] * 5
    assert one.stats.circuit_opened == 1
    assert one.stats.num_failed == 0


def test_down_for_good_ends_the_run(server: Any, refiner: Make, windows: Windows) -> None:
    server.stop()
    one = refiner()
    started = time.monotonic()
    with pytest.raises(ServerDown, match=r"has answered nobody for 0\.6 s, last unreachable: ConnectError") as caught:
        one.write(windows(20))
    assert time.monotonic() - started < 5
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert one.stats.circuit_opened == 1
    assert one.stats.windows == 0, "no window may count as finished"
    assert one.stats.requests < 40, "an open circuit sends probes only"


def test_down_for_good_ends_the_run_of_a_single_window(server: Any, refiner: Make, windows: Windows) -> None:
    server.stop()
    with pytest.raises(ServerDown):
        refiner(policy={"retries": 0, "deadline_s": 0.05}).write(windows(1))


@pytest.fixture
def dying(server: Any, reply: Any, answers: Any) -> Callable[[float | None], None]:
    """Make the server die at its 20th request, and come back after so many seconds, or never."""

    def arrange(back_after_s: float | None) -> None:
        dead = threading.Event()

        def die() -> None:
            server.stop()
            if back_after_s is not None:
                time.sleep(back_after_s)
                dead.clear()
                server.start()

        def script(seen: Any) -> Any:
            if len(server.seen) == 20:
                dead.set()
                threading.Thread(target=die).start()
            number = seen.prompt.split("page ")[1].split("\n")[0]
            return reply(drop=True) if dead.is_set() else answers(f"number {number}", delay_s=0.005)

        server.script = script

    return arrange


def test_dies_in_mid_run_and_comes_back(dying: Any, refiner: Make, windows: Windows) -> None:
    dying(0.4)
    one = refiner(policy={"give_up_s": 20.0, "retries": 2})
    assert [draft.text for draft in one.write(windows(60))] == [f"number {i}" for i in range(60)]
    assert one.stats.failures["unreachable"] >= 4
    assert one.stats.circuit_opened >= 1


def test_dies_in_mid_run_for_good(dying: Any, refiner: Make, windows: Windows) -> None:
    dying(None)
    one = refiner(policy={"retries": 1})
    with pytest.raises(ServerDown):
        one.write(windows(60))
    assert one.stats.num_failed == 0, "a dead server must not turn pages into fallbacks"


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"hang": True}, "timeout"),
        ({"body": b"{" + b" " * 200, "drip_s": 0.02}, "timeout"),
        ({"drop": True}, "unreachable"),
        ({"body": b'{"choices": [{"text": "remove_lines"}]}', "cut_at": 20}, "unreachable"),
        ({"status": 408}, "timeout"),
        ({"status": 500}, "server_error"),
        ({"status": 502, "body": b"<html>bad gateway</html>"}, "server_error"),
        ({"status": 503}, "server_error"),
        ({"status": 504}, "server_error"),
        ({"body": b"<html>please log in</html>"}, "not_json"),
        ({"body": b'{"choices": [{"text": '}, "not_json"),
        ({"body": b'{"choices": []}'}, "no_choices"),
        ({"body": b'{"choices": [{"text": "a"}, {"text": "b"}]}'}, "wrong_count"),
        ({"body": b'{"choices": [{"text": null, "finish_reason": "stop"}]}'}, "no_content"),
    ],
)
def test_is_retried(
    bad: dict[str, Any], kind: str, server: Any, refiner: Make, windows: Windows, reply: Any, answers: Any
) -> None:
    first_replies(server, answers, reply(**bad), reply(**bad))
    one = refiner(policy={"timeout_s": 0.4} if kind == "timeout" else {})
    assert one.write(windows(3)) == [KEEP] * 3
    assert one.stats.failures == {kind: 2}
    assert (one.stats.retries, one.stats.requests) == (2, 5)
    server.released.set()


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_by_all_requests(
    status: int, server: Any, refiner: Make, windows: Windows, reply: Any, answers: Any
) -> None:
    times: list[float] = []

    def script(seen: Any) -> Any:
        times.append(time.monotonic())
        return reply(status=status, headers={"Retry-After": "0.5"}) if len(times) == 1 else answers("keep_chunk()")

    server.script = script
    one = refiner(policy={"max_concurrency": 1})
    assert one.write(windows(3)) == [KEEP] * 3
    assert times[1] - times[0] >= 0.5


def test_a_long_retry_after_is_capped(server: Any, refiner: Make, windows: Windows, reply: Any, answers: Any) -> None:
    first_replies(server, answers, reply(status=429, headers={"Retry-After": "86400"}))
    started = time.monotonic()
    assert refiner(policy={"retry_after_cap_s": 0.2}).write(windows(1)) == [KEEP]
    assert 0.2 <= time.monotonic() - started < 3


def test_rate_limits_use_up_no_attempts(
    server: Any, refiner: Make, windows: Windows, reply: Any, answers: Any
) -> None:
    first_replies(server, answers, *[reply(status=429)] * 12)
    assert refiner(policy={"retries": 0, "give_up_s": 10.0}).write(windows(2)) == [KEEP] * 2


def test_rate_limited_for_good_ends_the_run(server: Any, refiner: Make, windows: Windows, reply: Any) -> None:
    server.script = lambda seen: reply(status=429, body={"error": {"message": "quota spent"}})
    with pytest.raises(ServerDown, match="quota spent"):
        refiner().write(windows(2))


def test_a_page_that_makes_the_server_fail_costs_only_itself(
    server: Any, refiner: Make, windows: Windows, reply: Any, answers: Any
) -> None:
    server.script = lambda seen: reply(status=500) if "page 3" in seen.prompt else answers("keep_chunk()")
    one = refiner(policy={"give_up_s": 30.0})
    drafts = one.write(windows(6))
    assert [draft.finish_reason for draft in drafts] == ["stop"] * 3 + ["error"] + ["stop"] * 2
    assert drafts[3] == Draft("", "error", "server_error: HTTP 500")
    assert one.stats.failed == {"server_error": 1}
    assert one.stats.failures["server_error"] == 1 + 3, "first attempt and three retries"


def test_a_lone_page_that_makes_the_server_fail_costs_only_itself(
    server: Any, refiner: Make, windows: Windows, reply: Any
) -> None:
    server.script = lambda seen: reply(hang=True)
    assert refiner(policy={"timeout_s": 0.1, "give_up_s": 30.0}).write(windows(1))[0].error == "timeout: 0.1 s"
    assert len(server.seen) == 4


def test_a_sick_server_that_does_not_list_models_either_ends_the_run(
    server: Any, refiner: Make, windows: Windows, reply: Any
) -> None:
    server.models_status = 503
    server.script = lambda seen: reply(status=503)
    with pytest.raises(ServerDown, match="server_error: HTTP 503"):
        refiner().write(windows(1))


def test_the_deadline_ends_a_window(server: Any, refiner: Make, windows: Windows, answers: Any) -> None:
    server.script = lambda seen: answers(None)
    one = refiner(policy={"retries": 10**6, "deadline_s": 0.3, "max_backoff_s": 0.1})
    started = time.monotonic()
    assert one.write(windows(1))[0].error == "no_content"
    assert 0.2 < time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "This model's maximum context length is 64 tokens", "context_length: HTTP 400"),
        (400, "unknown field", "bad_request: HTTP 400"),
        (413, "", "context_length: HTTP 413"),
        (422, "no", "bad_request: HTTP 422"),
    ],
)
def test_is_final_for_one_window(
    status: int, message: str, error: str, server: Any, refiner: Make, windows: Windows, reply: Any, answers: Any
) -> None:
    bad = reply(status=status, body={"error": {"message": message}})
    server.script = lambda seen: bad if "page 1" in seen.prompt else answers("keep_chunk()")
    one = refiner()
    assert one.write(windows(3)) == [KEEP, Draft("", "error", error), KEEP]
    assert len(server.seen) == 3, "never sent again"


@pytest.mark.parametrize(
    ("status", "says"), [(401, "refused: HTTP 401"), (403, "refused: HTTP 403"), (404, "not_there: HTTP 404")]
)
def test_aborts_the_run(status: int, says: str, server: Any, refiner: Make, windows: Windows, reply: Any) -> None:
    server.script = lambda seen: reply(status=status, body={"error": {"message": "no such model"}})
    with pytest.raises(ServerRefused, match=f"{says}.*no such model"):
        refiner(policy={"max_concurrency": 1}).write(windows(50))
    assert len(server.seen) < 5


def test_a_redirect_is_not_followed_and_ends_the_run(
    server: Any, refiner: Make, windows: Windows, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-canary-7531")
    thief = type(server)()
    try:
        server.script = lambda seen: reply(status=307, headers={"Location": thief.url + "/completions"})
        with pytest.raises(ServerRefused, match=r"redirected: HTTP 307.*go to 127\.0\.0\.1"):
            refiner(api_key_env="A_KEY").write(windows(2))
        assert thief.seen == []
    finally:
        thief.stop()


def test_too_many_failed_windows_end_the_run(
    server: Any, refiner: Make, windows: Windows, reply: Any, answers: Any
) -> None:
    server.script = lambda seen: reply(status=400, body={"error": {"message": "no grammar here"}})
    with pytest.raises(TooManyFailures, match=r"4 of 4 windows got no answer .*bad_request 4.*no grammar here"):
        refiner().write(windows(50))


def test_the_share_of_failures_is_what_counts_in_a_long_run(
    server: Any, refiner: Make, windows: Windows, reply: Any, answers: Any
) -> None:
    server.script = lambda seen: (
        reply(status=400) if "0\n" in seen.prompt.split("page ")[1] else answers("keep_chunk()")
    )
    one = refiner(policy={"max_failed_fraction": 0.2, "failures_allowed": 6})
    assert sum(draft.finish_reason == "error" for draft in one.write(windows(200))) == 20
    assert one.stats.windows == one.stats.answered + one.stats.num_failed == 200


def test_an_answer_cut_at_the_limit_is_kept_as_cut(server: Any, refiner: Make, windows: Windows, answers: Any) -> None:
    server.script = lambda seen: answers("remove_lines(line_start=0, line_end=1", finish_reason="length")
    one = refiner()
    assert one.write(windows(1))[0].finish_reason == "length"
    assert one.stats.cut == 1


def test_endless_repetition_is_capped(
    server: Any, refiner: Make, windows: Windows, reply: Any, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hf_curation.refiners.server.connection.MAX_ANSWER_BYTES", 2**16)
    endless = answers("remove_lines(line_start=0, line_end=0)\n" * 10_000)
    server.script = lambda seen: endless if "page 0" in seen.prompt else answers("keep_chunk()")
    drafts = refiner().write(windows(2))
    assert drafts[0].error is not None
    assert drafts[0].error.startswith("too_large")
    assert drafts[1] == KEEP
    assert refiner().form.body(windows(1)[0])["max_tokens"] == 256


def test_answers_are_matched_to_requests_whatever_their_order(
    server: Any, refiner: Make, windows: Windows, answers: Any
) -> None:
    done: list[int] = []

    def script(seen: Any) -> Any:
        number = int(seen.prompt.split("page ")[1].split("\n")[0])
        done.append(number)
        return answers(f"number {number}", delay_s=(8 - number % 8) * 0.01)

    server.script = script
    one = refiner()
    assert [draft.text for draft in one.write(windows(40))] == [f"number {i}" for i in range(40)]


def test_the_next_batch_does_not_inherit_an_old_outage(
    server: Any, refiner: Make, windows: Windows, answers: Any
) -> None:
    one = refiner()
    server.stop()
    with pytest.raises(ServerDown):
        one.write(windows(3))
    server.start()
    assert one.write(windows(3)) == [KEEP] * 3
