"""Random and mutated programs in all dialects, parsed and executed; every result is checked.

python recipes/benchmarks/fuzz_programs.py --n 1000000

Each program is drawn on one of 300 small pages full of poison characters, then cut, spliced or scrambled three times
out of four. Checked for each: nothing raises; every piece of the output is a call or a rejection, under a known
reason; the edits replay to the text; a program of removals only leaves a subsequence of the page's lines; without
added characters the text is a subsequence of the page's; what was read prints and reads back the same, and what was
executed gives the same text again. The last line is JSON:

- programs, calls, rejected, fallbacks: how many were tried, read, and not executed
- crashes: programs that raised or broke a check (the first ones are printed)
- hangs: programs that took over a second of processor time
- max_us: the slowest program, microseconds of processor time
- doubling: how time grows when a program or a page doubles (128 KB to 1 MB), worst of all shapes; 2 is linear
- us_per_kb: the dearest shape's time for 1 KB, at 1 MB
"""

import argparse
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from types import FrameType

from hf_curation.programs import (
    FALLBACKS,
    NO_LIMITS,
    REASONS,
    AddLine,
    Dialect,
    EditResult,
    Limits,
    Program,
    ReplaceString,
    Scope,
    execute,
    normalize_newlines,
    parse_program,
    print_program,
    replay,
    split_lines,
)

HANG_S = 1.0
GIVE_UP_S = 20
LETTERS = "aab bcde\\'\",()=#;:[]<>/\t\x0b\x0c\x1c\x85\u2028\u2029\x00\ufeff春é٣３\ud800"
CALLS = ["keep_chunk()", "keep_doc()", "drop_doc()", "keep_all()", "remove_all()", "drop", "__import__('os')"]
HEADS = ["remove_lines(", "normalize(", "replace_str(", "remove_str(", "add_line(", "```", "<think>", "</think>"]
NAMES = ["line_start=", "line_end=", "source_str=", "target_str=", "start=", "end=", "all=True", "lambda ", 'f"']
MARKS = ["#", ";", ",", "(", ")", "'", '"', '\\"', "\\n", "\n", "\r\n", "0", "-1", "9" * 20, "1_0", "0x1", "1.5"]
SNIPPETS = CALLS + HEADS + NAMES + MARKS
LIMITS = [Limits(), Limits(max_added_chars=0), Limits(max_removed_fraction=0.2), Limits(max_errors=0), NO_LIMITS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000, help="how many programs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    args = parser.parse_args()
    shares = [args.n // args.jobs + (job < args.n % args.jobs) for job in range(args.jobs)]
    totals: Counter[str] = Counter()
    slowest = 0.0
    with ProcessPoolExecutor(args.jobs) as pool:
        for counts, seconds in pool.map(fuzz, shares, range(args.seed, args.seed + args.jobs)):
            totals += counts
            slowest = max(slowest, seconds)
    figures: dict[str, float] = {name: totals[name] for name in ("programs", "calls", "rejected", "fallbacks")}
    figures |= {"crashes": totals["crashes"], "hangs": totals["hangs"], "max_us": round(slowest * 1e6)}
    print(json.dumps(figures | linearity()))


def fuzz(count: int, seed: int) -> tuple[Counter[str], float]:
    """Try `count` programs; return counts and the slowest one's seconds."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, no cryptography
    pages = [make_page(rng) for _ in range(300)]
    counts: Counter[str] = Counter()
    slowest = 0.0
    signal.signal(signal.SIGALRM, give_up)
    for _ in range(count):
        page, dialect = rng.choice(pages), rng.choice(list(Dialect))
        text = make_program(rng, page, dialect)
        complete, limits, scope = rng.random() < 0.7, rng.choice(LIMITS), make_scope(rng, page)
        signal.alarm(GIVE_UP_S)
        start = time.thread_time()
        try:
            program = parse_program(text, dialect, scope=scope, complete=complete)
            result = execute(page, program, limits=limits)
            seconds = time.thread_time() - start
            check(page, text, program, result, dialect, limits)
        except TimeoutError:
            seconds = float(GIVE_UP_S)
        except Exception as error:  # whatever it is, it is a finding
            counts["crashes"] += 1
            if counts["crashes"] <= 3:
                print(f"crash: {type(error).__name__}: {error}\n  {dialect} {scope} {text!r}\n  on {page!r}")
            continue
        finally:
            signal.alarm(0)
        slowest = max(slowest, seconds)
        counts["hangs"] += seconds > HANG_S
        counts["programs"] += 1
        counts["calls"] += result.num_applied + len(result.rejected)
        counts["rejected"] += len(result.rejected)
        counts["fallbacks"] += len(result.fallbacks)
    counts["programs"] += counts["crashes"]
    return counts, slowest


def give_up(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def make_page(rng: random.Random) -> str:
    lines = []
    for number in range(rng.randint(1, 30)):
        words = rng.choices(
            ["menu", "the", "mill", "[Edit]", "(c)", "a=b", '"so"', f"no.{number}"], k=rng.randint(0, 9)
        )
        poison = "".join(rng.choices(LETTERS, k=rng.randint(0, 30)))
        lines.append(poison if rng.random() < 0.2 else " ".join(words))
    return rng.choice(["\n", "\n", "\r\n", "\r"]).join(lines)


def make_scope(rng: random.Random, page: str) -> Scope | None:
    """Return no scope, or any part of the page, also one that begins and ends inside lines."""
    if rng.random() < 0.6:
        return None
    text = normalize_newlines(page)
    start, end = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    return Scope(start, end, text.count("\n", 0, start))


def make_program(rng: random.Random, page: str, dialect: Dialect) -> str:
    text = "\n".join(make_call(rng, page, dialect) for _ in range(rng.randint(0, 6)))
    for _ in range(rng.choice([0, 1, 1, 3])):
        at = rng.randint(0, len(text))
        match rng.randrange(5):
            case 0:
                text = text[:at]
            case 1:
                text = text[:at] + text[at + rng.randint(1, 5) :]
            case 2:
                text = text[:at] + rng.choice(SNIPPETS) + text[at:]
            case 3:
                text = text[:at] + rng.choice(LETTERS) + text[at + 1 :]
            case 4:
                text = text[:at] + text[rng.randint(0, len(text)) :]
    return text


WHOLE_CALLS = {
    Dialect.PROX: ["keep_chunk()", "remove_lines(all=True)", "drop_doc()", "untouch_doc()", "keep_doc()"],
    Dialect.REFINEX: ["keep_all()"],
    Dialect.ULTRAX: ["keep_all()", "remove_all()"],
}


def make_call(rng: random.Random, page: str, dialect: Dialect) -> str:
    """Return a call on a line of the page, in one of 20 cases past its end."""
    if rng.random() < 0.06:
        return rng.choice(WHOLE_CALLS[dialect])
    lines = split_lines(page)
    index = rng.randrange(len(lines))
    line = lines[index]
    number = index + (dialect is not Dialect.PROX) + 99 * (rng.random() < 0.05)
    last = number + rng.choice([0, 0, 0, 1, 2, 5, -1])
    at = rng.randint(0, len(line))
    source, target = line[at : at + rng.randint(0, 20)], rng.choice(["", "", "x", '"', "it's", line[:3]])
    calls = {
        Dialect.PROX: [
            f"remove_lines(line_start={number}, line_end={last})",
            f"remove_lines({number}, {last})",
            f'normalize(source_str="{source}", target_str="{target}")',
        ],
        Dialect.REFINEX: [f"remove_lines({number}, {last})", f"remove_str({number}, {source!r})"],
        Dialect.ULTRAX: [
            f"remove_lines({number}, {last})",
            f"replace_str({number}, {source!r}, {target!r})",
            f"add_line({number}, {rng.randint(0, 3)}, {target!r})",
        ],
    }[dialect]
    return rng.choice(calls)


def check(page: str, text: str, program: Program, result: EditResult, dialect: Dialect, limits: Limits) -> None:
    """Raise an error for a result that breaks a promise."""
    expect(replay(page, result.edits) == result.text, "replay")
    expect({rejection.reason for rejection in result.rejected} <= set(REASONS), "reasons")
    expect(set(result.fallbacks) <= set(FALLBACKS), "fallbacks")
    expect(result.num_applied + len(result.rejected) == len(program.calls) + len(program.rejected), "accounting")
    expect(bool(program.calls or program.rejected) or is_blank_program(text), "silence")
    expect(parse_program(print_program(program, dialect), dialect).calls == program.calls, "print")
    again = execute(page, result.effective, limits=limits)
    expect((again.text, again.rejected) == (result.text, ()), "again")
    if not any(isinstance(call, ReplaceString | AddLine) for call in program.calls) and program.scope is None:
        kept = split_lines(result.text)
        expect(is_subsequence(kept, split_lines(page)) or kept == [""], "lines")
    if not any(edit.replacement for edit in result.edits):
        expect(is_subsequence(result.text, page), "characters")


def expect(holds: bool, promise: str) -> None:
    if not holds:
        raise RuntimeError(f"broken promise: {promise}")


def is_blank_program(text: str) -> bool:
    """Tell whether an output holds nothing but blanks, comments, fences and a closed thought."""
    body = text.partition("</think>")[2] if text.lstrip().startswith("<think>") else text
    lines = (line.strip(" \t\r\f\v\ufeff") for line in body.split("\n"))
    return all(not line or line[0] == "#" or line.startswith(("```", "~~~")) for line in lines)


def is_subsequence(small: list[str] | str, big: list[str] | str) -> bool:
    items = iter(big)
    return all(item in items for item in small)


SHAPES: dict[str, Callable[[int], tuple[str, str]]] = {
    "removals": lambda n: ("line\n" * 50, "remove_lines(line_start=1, line_end=2)\n" * (n // 39)),
    "positional": lambda n: ("line\n" * 50, "remove_lines(1, 2);" * (n // 19)),
    "strings": lambda n: ("line\n" * 50, 'normalize(source_str="absent", target_str="")\n' * (n // 47)),
    "odd quotes": lambda n: ("line\n" * 50, 'normalize(source_str="a "b", c", target_str="")\n' * (n // 48)),
    "prose": lambda n: ("line\n" * 50, "words without end\n" * (n // 18)),
    "one open string": lambda n: ("line\n" * 50, 'normalize(source_str="' + "a" * n),
    "quotes": lambda n: ("line\n" * 50, 'normalize(source_str="' + '" ' * (n // 2)),
    "borders": lambda n: ("line\n" * 50, 'normalize(source_str="' + '", target_str="' * (n // 15) + '")'),
    "commas": lambda n: ("line\n" * 50, "remove_lines(" + "," * n),
    "page of lines": lambda n: ("a line of words\n" * (n // 16), "remove_lines(3, 5)\nremove_lines(9, 2000)"),
    "page of one line": lambda n: ("words " * (n // 6) + "end", 'normalize(source_str="s end", target_str="")'),
    "page with returns": lambda n: ("a line\r\n" * (n // 8), "remove_lines(3, 5)\nremove_lines(9, 2000)"),
}


def linearity() -> dict[str, float | str]:
    """Time every shape at four sizes up to 1 MB."""
    sizes = [1 << 17, 1 << 18, 1 << 19, 1 << 20]
    doublings, per_kb = {}, {}
    for name, shape in SHAPES.items():
        times = [min(timings(*shape(size))) for size in sizes]
        doublings[name] = (times[-1] / times[0]) ** (1 / 3)
        per_kb[name] = times[-1] * 1e6 / 1024
        print(
            f"{name:18} {' '.join(f'{seconds * 1e3:8.2f}' for seconds in times)} ms, x{doublings[name]:.2f} a doubling"
        )
    worst, dearest = max(doublings, key=doublings.__getitem__), max(per_kb, key=per_kb.__getitem__)
    return {
        "doubling": round(doublings[worst], 2),
        "doubling_worst": worst,
        "us_per_kb": round(per_kb[dearest], 1),
        "us_per_kb_worst": dearest,
    }


def timings(page: str, program: str) -> Iterator[float]:
    for _ in range(3):
        start = time.thread_time()
        execute(page, parse_program(program, limits=NO_LIMITS), limits=NO_LIMITS)
        yield time.thread_time() - start


if __name__ == "__main__":
    main()
