"""Where the texts of a selection come from: files, or benchmarks that are written into the run's folder first.

A benchmark's texts are read once, by the launcher, and lie as JSON lines in `targets/` and `held_out/` of the output:
tasks on a cluster need no network, and whoever looks at the run sees what it was aimed at. Which bytes they are is
known before anything is written, so that they are part of the plan like any other input.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from datatrove_steps.importance.config import BENCHMARK_PREFIX, SelectConfig
from datatrove_steps.importance.readings import Reading
from datatrove_steps.importance.texts import Keys
from hf_curation.files.atomic import write_whole
from hf_curation.files.bad_shards import prepare_source
from hf_curation.files.pins import Pins
from hf_curation.files.reading import is_warc
from hf_curation.files.sources import Source, SourceFile, find_source, fingerprint
from hf_curation.files.spans import deal_spans

_MIB: Final = 2**20
_TASK_BYTES: Final = {True: 128 * _MIB, False: 32 * _MIB}
"""Whether features are words -> bytes of input per task; tokenizers are slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSet:
    """A named set of texts, and what has to be written before it can be read."""

    name: str
    origin: str
    """The path as it was given, without folders that differ between machines."""
    source: Source
    keys: Keys
    path: Path | None = None
    """Where `data` goes; None for files that are there."""
    data: bytes = b""

    def materialise(self) -> None:
        """Write what has to be written."""
        if self.path is not None and not self.path.exists():
            write_whole(self.path, self.data)

    def describe(self) -> dict[str, Any]:
        """Return what a plan says of it."""
        return {"origin": self.origin, "text_key": self.keys.text, "fingerprint": self.source.fingerprint}

    def readings(self, num_tasks: int, group: int = 0) -> list[Reading]:
        """Return what each of some tasks reads of it; one that is not written yet is one task's."""
        dealt = deal_spans(self.source, num_tasks if self.path is None else 1)
        return [Reading(source=self.source, spans=spans, keys=self.keys, group=group) for spans in dealt]


def pin_config(config: SelectConfig, pins: Pins) -> SelectConfig:
    """Return the configuration with commits in what comes from the Hub; the names of targets stay.

    Raises:
        ValueError: if a repository or revision is not there.
        OSError: if the Hub does not answer, and no copy is kept here.
    """
    features, revision = (config.features, config.revision)
    if not config.spec.uses_words:
        features, revision = pins.model(features, revision)
    return replace(
        config,
        raw=pins.url(config.raw),
        targets={name: pins.url(path) for name, path in config.named_targets.items()},
        held_out=tuple(map(pins.url, config.held_out)),
        features=features,
        revision=revision,
    )


def find_raw(config: SelectConfig, scores: Path) -> Source:
    """Return the corpus that is chosen from: with its limit, its fingerprint, and a mark at each file left out.

    Which these are may be written down in `scores`, the folder of the run that weighs.
    """
    found = _find_lines(config.raw)
    allowed, text_key = config.allow_bad_shards, config.text_key
    return prepare_source(found, scores, allow_bad_shards=allowed, limit=config.limit, text_key=text_key)


def find_targets(config: SelectConfig, output: Path) -> list[TextSet]:
    """Return the targets, in the order in which they were named.

    Raises:
        ValueError: for a path where nothing is, or a benchmark that does not exist.
    """
    return [
        _benchmark_targets(name, path, config, output)
        if path.startswith(BENCHMARK_PREFIX)
        else _files(name, path, config)
        for name, path in config.named_targets.items()
    ]


def find_held_out(config: SelectConfig, output: Path) -> list[TextSet]:
    """Return what must not be trained on, a set for each path and each split of a benchmark."""
    sets: list[TextSet] = []
    for path in config.held_out_sets:
        if path.startswith(BENCHMARK_PREFIX):
            sets += _benchmark_held_out(path, config, output)
        else:
            last = Path(path.rstrip("/")).name
            sets.append(_files(last.partition("@")[0] if "://" in path else last, path, config))
    return sets


def default_tasks(source: Source, *, uses_words: bool) -> int:
    """Return a number of tasks that follows from the input alone.

    One per 128 MiB of files, a second or two of work where features are words; per 32 MiB with a tokenizer.
    """
    return max(1, -(-source.num_bytes // _TASK_BYTES[uses_words]))


def _files(name: str, path: str, config: SelectConfig) -> TextSet:
    source = fingerprint(_find_lines(path))
    keys = Keys(text=config.target_text_key or config.text_key, id=config.id_key)
    return TextSet(name=name, origin=Path(path).name if source.is_local else path, source=source, keys=keys)


def _benchmark_targets(name: str, path: str, config: SelectConfig, output: Path) -> TextSet:
    from hf_curation.sampling.benchmarks import target_texts  # noqa: PLC0415 - loads data sets

    rows = target_texts(path, folder=_folder(config))
    return _lines(name, path, output / "targets" / f"{name}.jsonl", rows)


def _benchmark_held_out(path: str, config: SelectConfig, output: Path) -> list[TextSet]:
    from hf_curation.sampling.benchmarks import held_out_texts  # noqa: PLC0415 - loads data sets

    by_set: dict[str, list[tuple[str, str]]] = {}
    for name, text in held_out_texts([path], folder=_folder(config)):
        by_set.setdefault(name, []).append((name, text))
    folder = output / "held_out"
    return [_lines(name, path, folder / f"{name.replace('/', '-')}.jsonl", rows) for name, rows in by_set.items()]


def _lines(name: str, origin: str, path: Path, rows: Iterable[tuple[str, str]]) -> TextSet:
    data = b"".join(
        orjson.dumps({"id": f"{group}/{i}", "text": text, "source": group}) + b"\n"
        for i, (group, text) in enumerate(rows)
    )
    file = SourceFile(path.name, len(data), f"sha256:{sha256(data).hexdigest()}")
    source = Source(str(path.parent), (file,))
    return TextSet(name=name, origin=origin, source=source, keys=Keys(), path=path, data=data)


def _folder(config: SelectConfig) -> Path | None:
    return None if config.benchmark_folder is None else Path(config.benchmark_folder)


def _find_lines(path: str) -> Source:
    source = find_source(path)
    for file in source.files:
        if is_warc(file.name):
            raise ValueError(
                f"{file.name} is WARC, an archive of pages that would have to be extracted in every pass: "
                f"make documents of it once, with `hf-curation refine {path} OUTPUT`, and select from these"
            )
    return source
