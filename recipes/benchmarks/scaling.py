# /// script
# dependencies = ["hf-curation[report,select,train]"]
# ///
r"""Memory and time of every stage by number of documents: is the one flat, is the other linear?

python recipes/benchmarks/scaling.py                              # 10,000, 100,000 and 1,000,000: an hour or two
python recipes/benchmarks/scaling.py --documents 1000 10000       # does it run?
python recipes/benchmarks/scaling.py --texts runs/debian-docs/documents-large.jsonl --stages edit report

Documents are made from real ones: lines of texts, shuffled into documents of 450 bytes on average (200 to 800, short
so that a million fit), twenty to a host, each with an address and an id of its own. A smaller corpus is the beginning
of a larger one. The texts are the quickstart's pages and the descriptions of the packages installed here, or
`--texts`, JSONL with `text`; these have no more than so many different lines, and what is learned or chosen from them
means nothing.

`refine` is the embedded tagger, two milliseconds a page however short: most of the time that all stages take. `edit`
is the same run without it, by a refiner that removes the first line of every page; `report` is drawn from its output.

What grows, and how far: `choose` holds candidates until there are 2^20 of them, and reads them more often from then
on: a million documents are its worst. `pack` fills caches of 65,536 hosts and plans blocks of 131,072 documents: with
four million its own memory is that of one million. 20 bytes a document more are pages of the store's and the prefixes'
files, mapped and shared by all processes, which the kernel takes back. `adapt` is given all documents as its target,
which in use is far smaller; it is exact and holds the target's different runs of words, 0.9 kB each.

Every stage runs in a process of its own, as one task over all documents, on one core: peak is that process's `VmHWM`
(Linux only), interpreter and libraries included; CPU seconds are those of the stage alone, after planning. Marginal
figures are taken between the two largest corpora, so that what a stage costs before its first document does not count.
What was measured stays in `--work`: the same command again measures what is missing, another `--work` all of it.
The last line is JSON, each by stage:

- flat: peak at the most documents / at the fewest; 1.0 is flat
- bytes_per_document: of memory, marginal; what a stage keeps of every document
- exponent: slope of log CPU seconds over log documents by least squares; 1.0 is linear, below is fixed cost
- exponent_last: the same between the two largest corpora
- us_per_document, documents_per_s, mb_per_s: CPU, marginal; the rates are null where there is no growth to divide by
- peak_mib, cpu_s: by number of documents
- output_bytes_per_document: of what refine, weigh and tokenize write, marginal

`hf-curation plan --scaling FILE` takes this line, and says what a billion and a trillion tokens cost.
"""

import argparse
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from math import log
from pathlib import Path
from typing import Any

from passes import cost_of, print_cost
from scaling_stages import STAGES, WORK

OUTPUTS = {"refine": "refined/data", "edit": "edited/data", "weigh": "selected/weights", "tokenize": "tokens/tokens"}
TARGET_DOCUMENTS = 1000
LINE_CHARS = 240
SHORTEST_S = 0.2
"""Of CPU between two corpora; less is noise."""
Cost = dict[str, float]
Size = dict[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="fewest first")
    parser.add_argument("--texts", type=Path, help="JSONL to make documents of")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="in this order")
    parser.add_argument("--work", type=Path, default=Path("runs/scaling"))
    parser.add_argument("--run", metavar="STAGE", choices=STAGES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print_cost(WORK[args.run](args.work))
        return
    if len(args.documents) < 2 or args.documents != sorted(set(args.documents)):
        raise SystemExit("scaling.py: --documents takes two numbers or more, the smallest first")
    costs: dict[int, dict[str, Cost]] = {}
    sizes: dict[int, Size] = {}
    for number in args.documents:
        folder = args.work / str(number)
        sizes[number] = remembered(folder / "size.json", partial(make_corpus, folder, args.texts, number))
        costs[number] = {}
        for stage in (stage for stage in STAGES if stage in args.stages):
            path = folder / "costs" / f"{stage}.json"
            costs[number][stage] = remembered(path, partial(cost_of_stage, folder, stage))
            print(f"{number:,} documents: {stage} {costs[number][stage]}", file=sys.stderr, flush=True)
    print_table(costs, sizes)
    print(json.dumps(figures_of(costs, sizes)))


def remembered(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what the file holds, or measure and write it."""
    if not path.exists():
        found = measure()
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found))
    return dict(json.loads(path.read_text()))


def read_texts(path: Path | None) -> list[str]:
    """Return the texts that documents are made of."""
    if path is not None:
        with path.open() as lines:
            return [text for line in lines if (text := json.loads(line)["text"])]
    from datatrove_steps.package_descriptions import package_rows

    sys.path.insert(0, str(Path(__file__).parents[1] / "quickstart"))
    from quickstart_pages import read_pages

    return [row["text"] for row in (*read_pages(), *package_rows())]


def make_corpus(folder: Path, source: Path | None, number: int) -> Size:
    """Write `documents.jsonl`, `target.jsonl` and a tokenizer afresh; return bytes and characters of the documents."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines = [line[:LINE_CHARS] for text in read_texts(source) for line in text.split("\n") if line.strip()]
    size = {"bytes": 0, "chars": 0}
    with (folder / "documents.jsonl").open("w") as file:
        for document in synthetic(lines, number):
            size["bytes"] += len(document["text"].encode())
            size["chars"] += len(document["text"])
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
    target = list(synthetic(lines, TARGET_DOCUMENTS, seed=1))
    with (folder / "target.jsonl").open("w") as file:
        file.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in target)
    sys.path.insert(0, str(Path(__file__).parents[1] / "meco_pretrain"))
    from byte_bpe import train_tokenizer

    train_tokenizer(iter([document["text"] for document in target]), 4096).save_pretrained(folder / "tokenizer")
    return size


def synthetic(lines: list[str], number: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """Yield documents of shuffled lines; equal seeds give equal documents, however many."""
    rng = random.Random(seed)  # noqa: S311
    for place in range(number):
        room, chosen = rng.randrange(200, 600), []
        for _ in count():
            chosen.append(rng.choice(lines))
            room -= len(chosen[-1].encode()) + 1
            if room <= 0:
                break
        url = f"https://site-{place // 20}.example/{seed}/{place}"
        yield {"id": f"made/{seed}/{place}", "text": "\n".join(chosen), "source": f"s{place % 7}", "url": url}


def cost_of_stage(folder: Path, stage: str) -> Cost:
    """Run one stage in a process of its own; return MiB, CPU seconds, and bytes written."""
    cost = cost_of(__file__, ["--work", str(folder), "--run", stage])
    if stage in OUTPUTS:
        cost["output_bytes"] = sum(path.stat().st_size for path in (folder / OUTPUTS[stage]).iterdir())
    return cost


def figures_of(costs: dict[int, dict[str, Cost]], sizes: dict[int, Size]) -> dict[str, Any]:
    """Return the figures of the last line; see above."""
    numbers = list(costs)
    rows = {stage: figures_of_stage({n: costs[n][stage] for n in numbers}, sizes) for stage in costs[numbers[0]]}
    names = dict.fromkeys(name for row in rows.values() for name in row)
    found: dict[str, Any] = {"documents": numbers}
    found |= {f"{unit}_of_text": [sizes[number][unit] for number in numbers] for unit in ("bytes", "chars")}
    return found | {name: {stage: row[name] for stage, row in rows.items() if name in row} for name in names}


def figures_of_stage(costs: dict[int, Cost], sizes: dict[int, Size]) -> dict[str, Any]:
    *_, before, last = costs
    grown = last - before
    peak = [cost["peak_mib"] for cost in costs.values()]
    cpu = [max(cost["cpu_s"], 1e-3) for cost in costs.values()]
    seconds = cpu[-1] - cpu[-2]
    is_seen = seconds > SHORTEST_S
    row: dict[str, Any] = {
        "flat": round(peak[-1] / peak[0], 3),
        "bytes_per_document": round((peak[-1] - peak[-2]) * 2**20 / grown, 1),
        "exponent": round(slope([log(n) for n in costs], [log(s) for s in cpu]), 3),
        "exponent_last": round(log(cpu[-1] / cpu[-2]) / log(last / before), 3),
        "us_per_document": round(seconds / grown * 1e6, 2) if is_seen else 0.0,
        "documents_per_s": round(grown / seconds) if is_seen else None,
        "mb_per_s": round((sizes[last]["bytes"] - sizes[before]["bytes"]) / seconds / 1e6, 2) if is_seen else None,
        "peak_mib": peak,
        "cpu_s": cpu,
    }
    if "output_bytes" in costs[last]:
        written = costs[last]["output_bytes"] - costs[before]["output_bytes"]
        row["output_bytes_per_document"] = round(written / grown, 1)
    return row


def slope(x: list[float], y: list[float]) -> float:
    """Return the slope of a line through points by least squares."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return over / sum((a - mean_x) ** 2 for a in x)


def print_table(costs: dict[int, dict[str, Cost]], sizes: dict[int, Size]) -> None:
    print(f"{'stage':<14}{'documents':>11}{'MB':>8}{'peak MiB':>10}{'CPU s':>10}{'us/doc':>9}{'MB/s':>9}")
    for stage in next(iter(costs.values())):
        for number, by_stage in costs.items():
            cost, size = by_stage[stage], sizes[number]["bytes"] / 1e6
            seconds = max(cost["cpu_s"], 1e-3)
            rates = f"{seconds / number * 1e6:>9.1f}{size / seconds:>9.1f}"
            print(f"{stage:<14}{number:>11,}{size:>8.1f}{cost['peak_mib']:>10.0f}{seconds:>10.2f}{rates}")


if __name__ == "__main__":
    main()
