"""A training set as a folder: a Parquet file per split, the report, the configuration and the dataset card.

`datasets.load_dataset(folder)` reads it, and so does the Hub's viewer. Every file is whole at its final name, and the
report comes last: a folder with a report holds a set.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, get_type_hints

from hf_curation.config import write_yaml
from hf_curation.files.atomic import PartFile, write_json, write_whole
from hf_curation.files.reading import open_parquet
from hf_curation.refiners.training.examples import Example
from hf_curation.refiners.training.make import TrainingSet
from hf_curation.refiners.training.set_report import card_text, describe_set
from hf_curation.refiners.training.settings import TrainingDataConfig
from hf_curation.refiners.training.splits import SPLITS

REPORT: Final = "report.json"
_TYPES: Final = {int: "int64", float: "float64"}
_ROW_GROUP: Final = 1_000


def write_training_set(
    made: TrainingSet, folder: Path, config: TrainingDataConfig, *, skipped: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Write a set and return its report.

    Args:
        made: The set.
        folder: Created where it is not there; files of an earlier set are replaced.
        config: What the set was made with.
        skipped: Records of the source that were no pages, by reason.
    """
    (folder / REPORT).unlink(missing_ok=True)
    for split in SPLITS:
        examples, path = [e for e in made.examples if e.split == split], folder / "data" / f"{split}.parquet"
        if examples:
            _write_split(examples, path)
        else:
            path.unlink(missing_ok=True)  # `datasets` 4 and 5 cannot read a file without rows
    folder.mkdir(parents=True, exist_ok=True)
    write_yaml(folder / "config.yaml", config)
    figures = describe_set(made, config, skipped=skipped or {})
    card = _header({e.split for e in made.examples}) + card_text(figures, made.examples, config)
    write_whole(folder / "README.md", card.encode("utf-8", "replace"))
    write_json(folder / REPORT, figures, keep_order=True)
    return figures


def read_training_set(folder: Path, split: str) -> Iterator[Example]:
    """Yield the examples of one split, in the order of the file.

    Raises:
        ValueError: if the folder holds no finished set, or there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if not (folder / REPORT).is_file():
        raise ValueError(f"{folder} holds no training set ({REPORT} is missing); make one with refiner make-data")
    path = folder / "data" / f"{split}.parquet"
    if not path.is_file():
        return  # no example fell into this split
    with path.open("rb") as raw:
        for batch in open_parquet(raw, path.name).iter_batches(batch_size=_ROW_GROUP):
            for row in batch.to_pylist():
                yield Example(**row)


def _write_split(examples: Sequence[Example], path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    hints = get_type_hints(Example)
    schema = pa.schema([(f.name, pa.type_for_alias(_TYPES.get(hints[f.name], "string"))) for f in fields(Example)])
    table = pa.Table.from_pylist([_storable(e.as_row()) for e in examples], schema=schema)
    with PartFile(path) as part:
        parquet.write_table(table, part, row_group_size=_ROW_GROUP, compression="zstd", write_page_checksum=True)


def _storable(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that UTF-8 can spell: lone surrogates, which the prompt shows as U+FFFD, become that everywhere."""
    return {
        key: value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value
        for key, value in row.items()
    }


def _header(splits: set[str]) -> str:
    """Return the start of the card: tags, and which file is which split."""
    files = [f"  - split: {split}\n    path: data/{split}.parquet" for split in SPLITS if split in splits]
    configs = ["configs:\n- config_name: default\n  data_files:", *files] if files else []
    tags = "tags:\n- data-curation\n- hf-curation\n- prox"
    return "\n".join(["---", tags, *configs, "---", "", "# Training data for a refiner", "", ""])
