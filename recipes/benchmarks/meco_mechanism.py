# /// script
# dependencies = ["hf-curation[train]"]
# ///
r"""What the source in front of a document teaches a small model, and what the cooldown does to that.

python recipes/benchmarks/meco_mechanism.py --work runs/meco-mechanism      # 12 runs of 3 CPU minutes; resumes
python recipes/benchmarks/meco_mechanism.py --work runs/meco-mechanism --finished    # what is there so far
python recipes/benchmarks/meco_mechanism.py --work runs/quick --quick       # a minute: does it run?

Four schedules with equal steps, rows and tokens (metadata included, as the paper counts), each from the same initial
weights per seed: `standard` (no URLs), `always`, `mix` (nine in ten documents, throughout) and `meco` (always, then a
cooldown without for the last tenth). Held-out passages of 600 characters are scored with the right host in front,
with another site's, and with none: bits per byte of the passage alone.

Data: eight documentation sites from Debian packages (`debian_docs.py`), or `--documents JSONL`. Intervals: 95 %, by
Student's t over seeds. Writes `meco_mechanism.svg` beside the runs. The last line is JSON:

- table: schedule -> at the switch and at the end -> right, wrong, none: mean, low, high (bits per byte)
- gaps: schedule -> at the switch and at the end, paired by seed: none - right, wrong - none, and none and right minus
  standard's none
- tokens_to_standard: schedule -> condition -> tokens to reach standard's final value without a URL, per seed
  interpolated between evaluations: `reached` of the seeds; mean, low and high where all do
- tokens, parameters, seeds, bytes, seconds_per_run
"""

import argparse
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from debian_docs import make_corpus
from meco_corpus import Corpus, make_model
from meco_figures import print_table, summarize
from meco_plot import draw
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from hf_curation.evaluation.conditional import Conditioner, score_documents
from hf_curation.evaluation.document_score import bits_per_byte
from hf_curation.packing.schedule import Schedule, ScheduleKind
from trainer_callbacks import MeCoCooldownCallback, MeCoDataCollator, MeCoDataset, geometry_of

VARIANTS = {
    "standard": ScheduleKind.NEVER,
    "always": ScheduleKind.ALWAYS,
    "mix": ScheduleKind.MIX,
    "meco": ScheduleKind.COOLDOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all runs share."""

    steps: int = 400
    batch: int = 8
    seq_len: int = 256
    learning_rate: float = 4e-3
    evaluations: int = 10
    hidden: int = 128
    layers: int = 4
    vocabulary: int = 4096
    chars_per_host: int = 900_000
    passages_per_host: int = 10

    @property
    def tokens(self) -> int:
        """Tokens of a run, metadata and padding included."""
        return self.steps * self.batch * self.seq_len


class Curve(TrainerCallback):
    """Scores the held-out passages at equal distances; the switch and the end are among the places."""

    def __init__(self, corpus: Corpus, setting: Setting) -> None:
        self.setting = setting
        self.conditioner = Conditioner(corpus.tokenizer)
        self.passages = corpus.passages()
        urls = [passage.url for passage in self.passages]
        hosts = sorted({url.split("/")[2] for url in urls})
        self.metadata: dict[str, Any] = {
            "right": [{"url": url} for url in urls],
            # Every other host in turn, so that no single pair of sites decides.
            "wrong": [{"url": f"https://{_other(hosts, url, turn)}/"} for turn, url in enumerate(urls)],
            "none": None,
        }
        self.points: list[dict[str, float]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, *, model: Any, **kwargs: Any) -> None:  # noqa: ANN401, D102
        if state.global_step % (self.setting.steps // self.setting.evaluations) == 0:
            texts = [passage.text for passage in self.passages]
            scores = {
                name: bits_per_byte(score_documents(model, self.conditioner, texts, metadata, batch_size=16))
                for name, metadata in self.metadata.items()
            }
            tokens = state.global_step * self.setting.batch * self.setting.seq_len
            self.points.append({"step": state.global_step, "tokens": tokens, **scores})


def _other(hosts: list[str], url: str, turn: int) -> str:
    return hosts[(hosts.index(url.split("/")[2]) + 1 + turn % (len(hosts) - 1)) % len(hosts)]


def train(variant: str, seed: int, setting: Setting, documents: Path, work: Path) -> dict[str, Any]:
    """Train one model, or return what an earlier call wrote."""
    path = result_path(variant, seed, setting, documents, work)
    if path.exists():
        return dict(json.loads(path.read_text()))
    torch.set_num_threads(1)
    began, corpus = time.monotonic(), corpus_of(setting, documents, work)
    args = arguments(setting, seed, work)
    dataset = MeCoDataset(
        corpus.store,
        corpus.tokenizer,
        seq_len=setting.seq_len,
        samples_per_step=geometry_of(args),
        max_steps=setting.steps,
        schedule=Schedule(kind=VARIANTS[variant], seed=seed),
        plan="split",  # the prefix in front of every piece, nothing thrown away: rows are short here
        seed=seed,
    )
    curve = Curve(corpus, setting)
    trainer = Trainer(
        model=make_model(corpus.tokenizer, seed, hidden=setting.hidden, layers=setting.layers),
        args=args,
        train_dataset=dataset,
        data_collator=MeCoDataCollator(corpus.tokenizer, max_length=setting.seq_len, pad_to_max_length=True),
        callbacks=[MeCoCooldownCallback(dataset), curve],
    )
    trainer.remove_callback(PrinterCallback)  # the table is what goes to stdout
    trainer.train()
    result = {
        "variant": variant,
        "seed": seed,
        "curve": curve.points,
        "parameters": trainer.model.num_parameters(),
        "prefix_tokens": dataset.figures(range(len(dataset))).num_prefix_tokens,
        "bytes": sum(len(passage.text.encode()) for passage in curve.passages),
        "passages": len(curve.passages),
        "seconds": time.monotonic() - began,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result))
    part.rename(path)
    return result


def result_path(variant: str, seed: int, setting: Setting, documents: Path, work: Path) -> Path:
    """Return where a finished run is kept; another setting or corpus, another name."""
    key = sha256(json.dumps([asdict(setting), str(documents.stat().st_size)]).encode()).hexdigest()[:12]
    return work / "results" / f"{key}-{variant}-{seed}.json"


def finished_runs(num_seeds: int, setting: Setting, documents: Path, work: Path) -> list[dict[str, Any]]:
    """Return the runs of those seeds of which every schedule's is finished."""
    paths = [[result_path(v, seed, setting, documents, work) for v in VARIANTS] for seed in range(num_seeds)]
    return [json.loads(path.read_text()) for row in paths if all(path.exists() for path in row) for path in row]


def arguments(setting: Setting, seed: int, work: Path) -> TrainingArguments:
    """Return the paper's optimisation at this size."""
    return TrainingArguments(
        output_dir=str(work / "trainer"),
        max_steps=setting.steps,
        per_device_train_batch_size=setting.batch,
        learning_rate=setting.learning_rate,
        adam_beta2=0.95,
        weight_decay=0.033,
        warmup_steps=0.05,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        logging_steps=setting.steps // setting.evaluations,
        save_strategy="no",
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        bf16=True,
        use_cpu=True,
        disable_tqdm=True,
        seed=seed,
    )


def corpus_of(setting: Setting, documents: Path, work: Path) -> Corpus:
    name = f"{setting.vocabulary}-{setting.chars_per_host}"
    return Corpus(
        documents,
        work / f"corpus-{name}",
        vocabulary=setting.vocabulary,
        chars_per_host=setting.chars_per_host,
        passages_per_host=setting.passages_per_host,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/meco-mechanism"))
    parser.add_argument("--documents", type=Path, help="JSONL of id, url and text; default: fetch Debian packages")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=Setting().steps, help="a multiple of 10")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--finished", action="store_true", help="train nothing: the table of the seeds that are there")
    parser.add_argument("--svg", type=Path, help="where the picture goes (default: beside the runs)")
    parser.add_argument("--quick", action="store_true", help="20 small steps, 2 seeds")
    args = parser.parse_args()
    setting = replace(Setting(), steps=args.steps)
    if args.quick:
        setting = replace(setting, steps=20, batch=4, hidden=32, layers=2, passages_per_host=2)
        args.seeds = 2
    if setting.steps % setting.evaluations:
        parser.error(f"--steps must be a multiple of {setting.evaluations}, got {setting.steps}")
    documents = args.documents or make_corpus(args.work / "debian-docs")
    if args.finished:
        runs = finished_runs(args.seeds, setting, documents, args.work)
    else:
        runs = train_all(args.seeds, args.jobs, setting, documents, args.work)
    if not runs:
        parser.error(f"{args.work} holds no seed with all of {', '.join(VARIANTS)}")
    summary = summarize(runs, switch_step=setting.steps * 9 // 10)
    print_table(summary)
    (args.svg or args.work / "meco_mechanism.svg").write_text(draw(runs, setting.tokens * 9 // 10))
    print(json.dumps(summary))


def train_all(num_seeds: int, num_jobs: int, setting: Setting, documents: Path, work: Path) -> list[dict[str, Any]]:
    """Return all runs; trains those that are not finished, `num_jobs` at a time."""
    corpus = corpus_of(setting, documents, work)
    print(f"{len(corpus.store)} documents, {corpus.store.lengths_D.sum():,} tokens", file=sys.stderr)
    jobs = [(variant, seed) for seed in range(num_seeds) for variant in VARIANTS]
    runs = []
    with ProcessPoolExecutor(num_jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(train, variant, seed, setting, documents, work) for variant, seed in jobs]
        for (variant, seed), future in zip(jobs, futures, strict=True):
            runs.append(future.result())
            print(f"{variant} {seed}: {runs[-1]['seconds']:.0f} s", file=sys.stderr)
    return runs


if __name__ == "__main__":
    main()
