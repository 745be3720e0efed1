"""`hf-curation tokenizer adapt`: read the target, adapt, move the model, push, and say what came of it."""

import argparse
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hf_curation.hub.tokenizers import TokenizerPush
    from hf_curation.vocabulary.adapted import AdaptedTokenizer
    from hf_curation.vocabulary.bpe import ByteLevelBPE
    from hf_curation.vocabulary.fertility import Fertility

SETTINGS: Final = (
    ("new_tokens", int, "learn at most so many tokens"),
    ("new_words", int, "at most so many of them inside words"),
    ("min_count", int, "a pair must occur so often in the target"),
    ("max_words", int, "words in a token; 1 learns nothing across spaces"),
    ("max_chars", int, "characters in a token"),
    ("steps", int, "at most so many removals"),
    ("step", int, "of so many tokens each"),
    ("final_size", int, "ids at the end, at most (default: as many as the base has)"),
)
"""Fields of `AdaptSettings`: name, type, help. Defaults are shown from there."""

_SAMPLE_TEXTS: Final = 500


def adapt(args: argparse.Namespace) -> int:
    """Adapt a tokenizer; return the exit code."""
    output = Path(args.output).expanduser()
    _check_arguments(args, output)
    from hf_curation.hub.errors import one_line_errors
    from hf_curation.vocabulary.adapt import adapt_tokenizer
    from hf_curation.vocabulary.self_test import SelfTestError

    names = [*(name for name, _, _ in SETTINGS), "token_length"]
    settings: dict[str, Any] = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    settings["stop_at_minimum"] = args.stop_at_minimum
    rejects: Counter[str] = Counter()
    sample: list[str] = []
    started = time.monotonic()
    with _progress():
        texts = _sampled(_target(args, rejects), sample)
        with one_line_errors(args.base):
            adapted = adapt_tokenizer(args.base, texts, revision=args.revision, **settings)
        try:
            adapted.save(output, texts=sample)
        except SelfTestError as error:
            raise ValueError(f"{output}: {error}") from error
        fertility = _write_fertility(output, adapted.base, sample)
        moved = _move_model(args, adapted.base, output) if args.model else None
    pushed = _push(args, output) if args.push_to_hub else None
    facts = _facts(adapted, fertility, seconds=time.monotonic() - started, rejects=rejects, moved=moved)
    _print(facts, output, pushed, as_json=args.json)
    return 0


def _check_arguments(args: argparse.Namespace, output: Path) -> None:
    from hf_curation.hub.commits import check_repo_id

    if args.dry_run and not args.push_to_hub:
        raise ValueError("--dry-run is about --push-to-hub ME/NAME, which is missing")
    if args.push_to_hub:
        check_repo_id(args.push_to_hub)
    if (output / "vocabulary_manifest.json").exists() and not args.overwrite:
        raise ValueError(f"{output} holds an adapted tokenizer already; take another folder, or --overwrite")


def _target(args: argparse.Namespace, rejects: Counter[str]) -> Iterator[str]:
    """Yield the texts of the target; what is no text is counted."""
    if args.target.startswith("benchmark:"):
        from hf_curation.sampling.benchmarks import target_texts

        yield from (text for _, text in target_texts(args.target, folder=args.benchmark_folder))
        return
    from datatrove_steps.importance.texts import Keys, Rejects, read_texts
    from hf_curation.files.sources import find_source, limit_records
    from hf_curation.files.spans import Span

    source = find_source(args.target)
    source = source if args.limit is None else limit_records(source, args.limit)
    spans = [Span(number, 0, file.stop) for number, file in enumerate(source.files)]
    for batch in read_texts(source, spans, Keys(text=args.text_key, id=None), Rejects(counts=rejects)):
        yield from batch.texts if isinstance(batch.texts, list) else batch.texts.to_pylist()


def _sampled(texts: Iterable[str], sample: list[str]) -> Iterator[str]:
    """Pass texts on and leave a sample of them, each with the same chance, behind."""
    draw = random.Random(0)  # noqa: S311 - the same sample for the same target
    number = 0
    for number, text in enumerate(texts, 1):
        if len(sample) < _SAMPLE_TEXTS:
            sample.append(text)
        elif (place := draw.randrange(number)) < _SAMPLE_TEXTS:
            sample[place] = text
        if number % 10_000 == 0:
            logging.getLogger("hf_curation.vocabulary").info(f"{number:,} texts of the target read")
        yield text
    if not number:
        raise ValueError("the target holds no text; name its column or key with --text-key")


def _write_fertility(output: Path, base: "ByteLevelBPE", sample: list[str]) -> list["Fertility"]:
    from hf_curation.files import write_json
    from hf_curation.hub.adapted_tokenizer import FERTILITY_FILE
    from hf_curation.vocabulary.encoding import load_bulk_encoder
    from hf_curation.vocabulary.fertility import measure_fertility
    from hf_curation.vocabulary.probes import SENTENCE_OF

    encoders = [load_bulk_encoder(one, backend="plain") for one in (base.to_tokenizer(), output)]
    name = f"target, {len(sample)} texts" if len(sample) == _SAMPLE_TEXTS else "target"
    samples = {name: sample} | {language: [text] for language, text in SENTENCE_OF.items()}
    found = measure_fertility(encoders[0], encoders[1], samples)
    write_json(output / FERTILITY_FILE, [row.to_dict() for row in found])
    return found


def _move_model(args: argparse.Namespace, base: "ByteLevelBPE", output: Path) -> dict[str, Any]:
    """Move the model into `OUT/model`, with the tokenizer beside it."""
    import shutil

    from transformers import AutoModelForCausalLM

    from hf_curation.hub.adapted_tokenizer import TOKENIZER_FILES
    from hf_curation.hub.errors import one_line_errors
    from hf_curation.vocabulary.bpe import ByteLevelBPE
    from hf_curation.vocabulary.embeddings import transfer_embeddings
    from hf_curation.vocabulary.loading_check import check_loading

    with one_line_errors(args.model):
        model = AutoModelForCausalLM.from_pretrained(args.model, dtype="auto", use_safetensors=True)
    tokenizer = ByteLevelBPE.load(output)
    moved = transfer_embeddings(model, base, tokenizer, initialise=args.initialise)
    model.save_pretrained(output / "model")
    for name in TOKENIZER_FILES:
        if (output / name).is_file():
            shutil.copy(output / name, output / "model" / name)
    check_loading(output / "model", tokenizer)
    return {"kept": moved.num_kept, "new": moved.num_new, "dropped": moved.num_dropped, "tied": moved.is_tied}


def _push(args: argparse.Namespace, output: Path) -> "TokenizerPush":
    from hf_curation.hub.tokenizers import base_license, push_tokenizer

    return push_tokenizer(
        output,
        args.push_to_hub,
        model_folder=output / "model" if args.model else None,
        private=args.private,
        dry_run=args.dry_run,
        license=args.license or (None if args.dry_run else base_license(args.base)),
    )


def _facts(
    adapted: "AdaptedTokenizer",
    fertility: list["Fertility"],
    *,
    seconds: float,
    rejects: Counter[str],
    moved: dict[str, Any] | None,
) -> dict[str, Any]:
    before, after = adapted.curve[0], adapted.curve[adapted.chosen]
    figures = adapted.figures
    return {
        "base": {"name": adapted.base.name, "size": adapted.base.size},
        "size": adapted.bpe.size,
        "bytes_per_token": dict(zip(("before", "after"), adapted.bytes_per_token, strict=True)),
        "multi_word_share": after.multi_word_share,
        "types_used": {"before": before.types_used, "after": after.types_used},
        "learned": {"in_words": figures["learned_in_words"], "across_spaces": figures["learned_across_spaces"]},
        "num_added": len(adapted.added),
        "num_removed": len(adapted.removed),
        "target": {"texts": figures["target_texts"], "bytes": figures["target_bytes"], "skipped": dict(rejects)},
        "fertility": {row.sample: row.change for row in fertility},
        "model": moved,
        "seconds": round(seconds, 1),
    }


def _print(facts: dict[str, Any], output: Path, pushed: "TokenizerPush | None", *, as_json: bool) -> None:
    import orjson

    if as_json:
        sent = pushed and {"repo_id": pushed.repo_id, "commit": pushed.commit, "files": dict(pushed.files)}
        print(orjson.dumps(facts | {"output": str(output), "push": sent}).decode())
        return
    print("\n".join(table(facts)))
    if pushed is None:
        print(f"Hint: hf-curation select RAW OUT --target ... --features {output}", file=sys.stderr)
    elif pushed.commit is None:
        print(f"would send to {pushed.repo_id} ({'private' if pushed.private else 'public'}), if it is not there yet:")
        print("\n".join(f"  {name:<28}{size:>14,} bytes" for name, size in pushed.files))
    else:
        print(f"pushed: {pushed.url}")


def table(facts: dict[str, Any]) -> list[str]:
    """Return the lines that a person reads."""
    ratio, used, learned = facts["bytes_per_token"], facts["types_used"], facts["learned"]
    target = facts["target"]
    skipped = ", ".join(f"{reason} {number:,}" for reason, number in target["skipped"].items())
    worst = max(facts["fertility"].items(), key=lambda item: item[1])
    lines = [
        _row("target", f"{target['texts']:,} texts", f"{target['bytes']:,} bytes"),
        _row("ids", f"{facts['base']['size']:,}", f"{facts['size']:,}"),
        _row("bytes per token", f"{ratio['before']:.3f}", f"{ratio['after']:.3f}"),
        _row("tokens in use", f"{used['before']:,}", f"{used['after']:,}"),
        _row("across spaces", "0.0 %", f"{100 * facts['multi_word_share']:.1f} %"),
        _row("learned", f"{learned['in_words']:,} in words", f"{learned['across_spaces']:,} across"),
        _row("added, removed", f"{facts['num_added']:,}", f"{facts['num_removed']:,}"),
        _row("most tokens more", worst[0], f"{100 * worst[1]:+.1f} %"),
        _row("seconds", "", f"{facts['seconds']:,.1f}"),
    ]
    if skipped:
        lines.insert(1, _row("  skipped", "", skipped))
    if model := facts["model"]:
        lines.append(_row("rows of the model", f"{model['kept']:,} kept", f"{model['new']:,} new"))
    return ["".ljust(18) + "base".rjust(25) + "adapted".rjust(25), *lines]


def _row(name: str, before: str, after: str) -> str:
    return f"{name:<18}{before:>25}{after:>25}".rstrip()


@contextmanager
def _progress() -> Iterator[None]:
    """Show what the vocabulary modules log, on stderr, with the time that has passed."""
    logger = logging.getLogger("hf_curation.vocabulary")
    handler = logging.StreamHandler(sys.stderr)
    started = time.time()
    handler.setFormatter(_Passed(started))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Passed(logging.Formatter):
    def __init__(self, started: float) -> None:
        super().__init__()
        self.started = started

    def format(self, record: logging.LogRecord) -> str:
        """Return the seconds since the start, and the message."""
        return f"{record.created - self.started:7.1f} s  {record.getMessage()}"
