"""What `load_refiner("you/adapter")` reads of a repository before any weights: its small files.

A repository holds a whole model, or an adapter that names its base; `refiner.json` beside either says how it is asked.
So they are read when the refiner is made, and only weights wait until the first window.
"""

from pathlib import Path
from typing import Final

from hf_curation.files.pins import split_revision
from hf_curation.refiners.described import REFINER_FILE

ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
SETTINGS: Final = (REFINER_FILE, ADAPTER_CONFIG, "config.json")


def settings_folder(name: str, revision: str | None = None) -> Path | None:
    """Return a folder with those of a repository's `SETTINGS` that there are.

    Offline it is what earlier downloads brought, and None if they brought nothing: there are no weights either then.

    Args:
        name: `you/model`.
        revision: Branch, tag or commit.

    Raises:
        ValueError: if there is no such repository or revision, or this token may not read it.
        OSError: if the Hub does not answer, and no copy is kept here.
    """
    from huggingface_hub import constants  # noqa: PLC0415

    try:
        return _download(name, revision, SETTINGS)
    except OSError:
        if constants.HF_HUB_OFFLINE:
            return None
        raise


def adapter_folder(adapter: str) -> Path:
    """Return the folder of an adapter that lies here, or is `you/adapter` or `you/adapter@revision` on the Hub.

    Raises:
        ValueError: if it holds no safetensors, or as `settings_folder`.
        OSError: as `settings_folder`.
    """
    name, revision = split_revision(adapter)
    is_here = Path(name).is_dir()
    folder = Path(name) if is_here else _download(name, revision, (ADAPTER_CONFIG, ADAPTER_WEIGHTS))
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise ValueError(f"adapter {adapter} holds no {ADAPTER_WEIGHTS} (pickled weights are not loaded)")
    return folder


def _download(name: str, revision: str | None, files: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    from hf_curation.hub.errors import one_line_errors, patiently  # noqa: PLC0415

    with one_line_errors(name, revision=revision):
        return Path(patiently(lambda: snapshot_download(name, revision=revision, allow_patterns=list(files)), name))
