# /// script
# dependencies = ["hf-curation[select]"]
# ///
r"""What a selection costs: peak memory of every pass by size of the corpus, and time by number of tasks.

python recipes/benchmarks/sampling_memory.py --documents runs/debian-docs/documents-large.jsonl       # 1 GB and 4 GB
python recipes/benchmarks/sampling_memory.py --documents FILE.jsonl --mb 20 80 --task-mb 20           # does it run?

The corpus is made from the documents given: their paragraphs, shuffled into new documents of the same number of
paragraphs, with ids of their own, until there are enough bytes. It is written as JSON lines and as zstd Parquet; texts
repeat, so nothing is to be read out of what is chosen. Every pass runs in a process of its own and is asked for its
peak resident memory when it ends (`VmHWM`, hence Linux only: `ru_maxrss` hands a parent's peak down).

For memory one task reads the whole corpus: it is flat if the peaks at both sizes are the same. For time the smallest
corpus is cut into 1, 2 and more tasks, that run on as many processors. The last line is JSON:

- peak_mib: format -> MB of text -> pass -> MiB
- flat: largest peak of the largest corpus / largest peak of the smallest; 1.0 is flat
- tasks: number of tasks -> {wall_s, cpu_s}, of the whole selection, interpreters and all
"""

import argparse
import contextlib
import ctypes
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from passes import ENVIRONMENT, chain_of, peak_mib, run_steps

FORMATS = ("jsonl", "parquet")
PASSES = ("count_target", "count_raw", "fit", "weigh", "choose", "keep", "finish")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True, help="JSONL to make the corpus of")
    parser.add_argument("--work", type=Path, default=Path("runs/sampling-memory"))
    parser.add_argument("--mb", type=float, nargs="+", default=[1000, 4000], help="MB of text, smallest first")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--tasks", type=int, nargs="*", default=[1, 2], help="numbers of tasks to time")
    parser.add_argument("--task-mb", type=float, help="MB of the corpus for times (default: the smallest of --mb)")
    parser.add_argument("--rank", nargs=2, metavar=("CONFIG", "PASS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rank:
        run_pass(*args.rank)
        return
    peaks = {
        name: {f"{mb:g}": peaks_of(args.work, make_corpus(args.work, args.documents, mb, name)) for mb in args.mb}
        for name in args.formats
    }
    print_peaks(peaks)
    corpus = make_corpus(args.work, args.documents, args.task_mb or args.mb[0], args.formats[-1])
    times = {str(tasks): time_of(args.work, corpus, tasks) for tasks in args.tasks}
    print_times(times)
    ends = [[max(peak[f"{mb:g}"].values()) for peak in peaks.values()] for mb in (args.mb[0], args.mb[-1])]
    flat = max(last / first for first, last in zip(*ends, strict=True))
    print(json.dumps({"peak_mib": peaks, "flat": round(flat, 3), "tasks": times}))


def make_corpus(work: Path, documents: Path, mb: float, name: str) -> Path:
    """Write `corpus-MB.FORMAT` and `target.jsonl`, unless they are there."""
    path = work / f"corpus-{mb:g}.{name}"
    if path.exists():
        return path
    work.mkdir(parents=True, exist_ok=True)
    texts = [text for line in documents.open() if (text := json.loads(line)["text"])]
    with (work / "target.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts[:: max(1, len(texts) // 200)])
    part = path.with_suffix(".part")
    write = write_jsonl if name == "jsonl" else write_parquet
    write(part, synthetic(texts, int(mb * 1e6)))
    part.rename(path)
    return path


def synthetic(texts: Sequence[str], num_bytes: int) -> Iterator[dict[str, str]]:
    """Yield documents of shuffled paragraphs until there are so many bytes of text."""
    paragraphs = [paragraph for text in texts for paragraph in text.split("\n") if paragraph.strip()]
    lengths = [min(200, text.count("\n") + 1) for text in texts]
    rng = random.Random(0)  # noqa: S311
    for number in count():
        if num_bytes <= 0:
            return
        text = "\n".join(rng.choices(paragraphs, k=rng.choice(lengths)))
        num_bytes -= len(text.encode())
        yield {
            "id": f"made/{number}",
            "text": text,
            "source": f"s{number % 7}",
            "url": f"https://example.org/{number}",
        }


def write_jsonl(path: Path, documents: Iterator[dict[str, str]]) -> None:
    with path.open("w") as file:
        file.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)


def write_parquet(path: Path, documents: Iterator[dict[str, str]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.string()) for name in ("id", "text", "source", "url")])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting: list[dict[str, str]] = []
        for document in documents:
            waiting.append(document)
            if len(waiting) == 2000:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                waiting = []
        writer.write_table(pa.Table.from_pylist(waiting, schema))


def settings(work: Path, corpus: Path, output: Path, tasks: int) -> dict[str, object]:
    return {"raw": str(corpus), "output": str(output), "targets": str(work / "target.jsonl"), "tasks": tasks}


def peaks_of(work: Path, corpus: Path) -> dict[str, int]:
    """Return MiB of every pass, of one task over the whole corpus."""
    output = work / "out"
    shutil.rmtree(output, ignore_errors=True)
    config = work / "config.json"
    config.write_text(json.dumps(settings(work, corpus, output, 1)))
    found = {}
    for name in PASSES:
        command = [sys.executable, __file__, "--documents", "-", "--rank", str(config), name]
        done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
        found[name] = int(done.stdout.splitlines()[-1])
        print(f"{corpus.name}: {name} {found[name]} MiB", file=sys.stderr)
    return found


def run_pass(config: str, name: str) -> None:
    """Run one pass in this process, as its only rank, and print its peak."""
    from datatrove_steps import SelectConfig, importance_sampling

    executor = importance_sampling(SelectConfig(**json.loads(Path(config).read_text())))
    run_steps(chain_of(executor)[PASSES.index(name)])
    print(int(peak_mib()))


def time_of(work: Path, corpus: Path, tasks: int) -> dict[str, float]:
    """Return seconds of a whole selection from the command line."""
    output = work / f"out-{tasks}"
    shutil.rmtree(output, ignore_errors=True)
    options = ["--target", str(work / "target.jsonl"), "--tasks", str(tasks), "--workers", str(tasks)]
    code = "import sys; from hf_curation.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "select", str(corpus), str(output), *options]
    # The server that ranks are forked from outlives the command: it becomes ours, and is waited for.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, env=os.environ | ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
    wall = time.monotonic() - started
    with contextlib.suppress(ChildProcessError):
        while os.wait():
            pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2)}


def print_peaks(peaks: dict[str, dict[str, dict[str, int]]]) -> None:
    print(f"{'peak MiB':<20}" + "".join(f"{name:>14}" for name in PASSES))
    for name, sizes in peaks.items():
        for mb, found in sizes.items():
            print(f"{name + ', ' + mb + ' MB':<20}" + "".join(f"{found[one]:>14}" for one in PASSES))


def print_times(times: dict[str, dict[str, float]]) -> None:
    print(f"{'tasks':<20}{'wall s':>14}{'cpu s':>14}")
    for tasks, seconds in times.items():
        print(f"{tasks:<20}{seconds['wall_s']:>14}{seconds['cpu_s']:>14}")


if __name__ == "__main__":
    main()
