"""Which metadata a task's prompts carry.

MeCo's conditional inference names a host per task (its table 11), which one system instruction for a whole run cannot.
Written in YAML or JSON as task -> columns, a bare text being a URL; `default` serves every other task, `null` is none:

    arc_easy: www.sciencestudyquiz.com
    piqa: {url: www.basicknowledgequiz.com}
    default: null
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_curation.config import read_yaml

Columns = Mapping[str, object]
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class TaskMetadata:
    """Columns of each task; None: no prefix."""

    by_task: Mapping[str, Columns | None]

    @classmethod
    def parse(cls, value: "TaskMetadata | Mapping[str, object] | str | Path | None") -> "TaskMetadata":
        """Take metadata as a mapping, a path of YAML or JSON, one URL for every task, or None.

        Raises:
            ValueError: if an entry is neither columns, a URL nor null.
        """
        if isinstance(value, TaskMetadata):
            return value
        if value is None:
            return cls({DEFAULT: None})
        if isinstance(value, str | Path):
            if Path(value).suffix not in (".yaml", ".yml", ".json"):
                return cls({DEFAULT: {"url": str(value)}})
            value = read_yaml(value)
        return cls({str(task): _columns(str(task), entry) for task, entry in value.items()})

    def of(self, task: str | None) -> Columns | None:
        """Return the columns for a task's prompts.

        Raises:
            ValueError: if the task has none and there is no default; a forgotten task must not pass for a plain one.
        """
        for name in (task, DEFAULT):
            if name is not None and name in self.by_task:
                return self.by_task[name]
        raise ValueError(
            f"no metadata for task {task!r}: there are {', '.join(self.by_task)}; add it, or `default: null` for none"
        )


def _columns(task: str, entry: object) -> Columns | None:
    if entry is None or isinstance(entry, Mapping):
        return entry
    if isinstance(entry, str):
        return {"url": entry}
    raise ValueError(f"metadata of {task!r} must be a URL, columns or null, got {entry!r}")
