"""One name, one refiner: what `--refiner NAME_OR_PATH` of the command line means.

tagger                            the tagger inside this package
prox-web, prox-math               the released ProX models, document or chunk by stage
prox-web-chunk:double_bos         a preset with a variant of its prompt
folder/, org/name                 any causal LM in process, or a PEFT adapter; its `refiner.json` says how to ask
org/name@revision                 the same, of a branch, tag or commit; after a preset's name too
http://host:port/v1               a server that speaks the OpenAI protocol (`model=` names the model there)
"""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from hf_curation.files.pins import split_revision
from hf_curation.refiners.base import Refiner, Stage
from hf_curation.refiners.described import read_description
from hf_curation.refiners.on_hub import ADAPTER_CONFIG, settings_folder
from hf_curation.refiners.prompts import PRESETS, Preset, get_preset, preset_of_model

_SHORT = {Stage.DOCUMENT: "doc", Stage.CHUNK: "chunk"}
_FAMILIES = ("prox-web", "prox-math")
TAGGER = "tagger"


class Base(NamedTuple):
    """The model that an adapter is for."""

    model: str
    revision: str | None


def load_refiner(
    name: str,
    *,
    stage: Stage | str = Stage.CHUNK,
    preset: str | None = None,
    model: str | None = None,
    **options: Any,  # noqa: ANN401 - each refiner has its own
) -> Refiner:
    """Return the refiner that `name` means, for one stage. No weights are loaded yet, and no page is sent anywhere.

    Of a repository on the Hub a few small files are read here: whether it is an adapter, of what, and how it is asked.

    Args:
        name: see the module's docstring.
        stage: the pass that programs are wanted for.
        preset: the prompt format of a model in a folder, on the Hub or behind a server; by default that of the
            released model of that id, else the generic one of the stage.
        model: the model's name on a server; only with an address.
        **options: passed on to `LineTagger`, `CausalLMRefiner` or `ServerRefiner`.

    Raises:
        ValueError: for a name that means nothing, with the nearest one that does; for a preset of the other stage;
            for an option that has no effect on this kind of refiner; for a repository that is not there.
        OSError: if the Hub does not answer, and no copy is kept here.
    """
    stage = Stage(stage)
    if name.startswith(("http://", "https://")):
        return _load_server(name, stage, preset, model, options)
    if model is not None:
        raise ValueError(f"model={model!r} names a model on a server, but {name!r} is no http:// or https:// address")
    if name == TAGGER:
        if preset is not None:
            raise ValueError(f"the tagger has no prompt; leave out preset={preset!r}")
        from hf_curation.refiners.tagger import LineTagger  # noqa: PLC0415

        return LineTagger(stage=stage, **options)
    return _load_causal_lm(name, stage, preset, options)


def _load_server(
    address: str, stage: Stage, preset: str | None, model: str | None, options: dict[str, Any]
) -> Refiner:
    from hf_curation.refiners.server import ServerRefiner  # noqa: PLC0415

    if model is None:
        raise ValueError(f"which model at {address}? pass model=, its name on that server")
    return ServerRefiner(address, model, preset=_preset_for(model, stage, preset), **options)


def _load_causal_lm(name: str, stage: Stage, preset: str | None, options: dict[str, Any]) -> Refiner:
    from hf_curation.refiners.causal_lm import CausalLMRefiner  # noqa: PLC0415

    name, revision = split_revision(name, options.pop("revision", None))
    options |= {"revision": revision} if revision else {}
    if Path(name).is_dir():
        return CausalLMRefiner(**_settings_in(Path(name), name, stage, preset) | options)
    full = f"{name}-{_SHORT[stage]}" if name in _FAMILIES else name
    if full.partition(":")[0] in PRESETS:
        if preset is not None:
            raise ValueError(f"{name!r} is a preset already; leave out preset={preset!r}")
        chosen = _of_stage(get_preset(full), stage)
        if chosen.model_id is None:
            raise ValueError(f"{name!r} is a prompt format without weights; pass a model and preset={name!r}")
        return CausalLMRefiner(chosen.model_id, preset=chosen, **options)
    _check_is_on_hub(name)
    folder = None if preset_of_model(name) else settings_folder(name, revision)
    if folder is None:
        return CausalLMRefiner(name, preset=_preset_for(name, stage, preset), **options)
    told = _settings_in(folder, name, stage, preset)
    if "adapter" in told and revision:  # which is the adapter's here, not its base's
        told["adapter"] = f"{name}@{options.pop('revision')}"
    return CausalLMRefiner(**told | options)


def _check_is_on_hub(name: str) -> None:
    """Check that `name` may be a repository.

    Raises:
        ValueError: if not, with the nearest name that means something.
    """
    if name.count("/") != 1 or name.startswith((".", "/", "~")) or name.endswith("/"):
        known = [TAGGER, *_FAMILIES, *(key for key, preset in PRESETS.items() if preset.model_id)]
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        raise ValueError(f"{name!r} is no refiner, folder, org/name of the Hub, or http(s) address; {hint}")


def _settings_in(folder: Path, name: str, stage: Stage, preset: str | None) -> dict[str, Any]:
    """Return what `CausalLMRefiner` is told about the model or adapter `name`, by the files in `folder`."""
    told = read_description(folder, stage, name=name) if preset is None else None
    base = _adapter_base(folder, name)
    model = base.model if base else name
    found: dict[str, Any] = {"model": model, "preset": _preset_for(model, stage, told.preset if told else preset)}
    if base:
        found |= {"adapter": name} | ({"revision": base.revision} if base.revision else {})
    return found | (told.options if told else {})


def _preset_for(model: str, stage: Stage, preset: str | None) -> Preset:
    """Return the preset asked for, else the released model's own, else the generic one."""
    if preset is not None:
        return _of_stage(get_preset(preset), stage)
    return _of_stage(preset_of_model(model) or PRESETS[f"generic-{_SHORT[stage]}"], stage)


def _of_stage(preset: Preset, stage: Stage) -> Preset:
    if preset.stage == stage:
        return preset
    twin = preset.name.replace(f"-{_SHORT[preset.stage]}", f"-{_SHORT[stage]}")
    hint = f"; for this one there is {twin!r}" if twin != preset.name else ""
    raise ValueError(f"preset {preset.name!r} is for the {preset.stage} stage, not for the {stage} stage{hint}")


def _adapter_base(folder: Path, name: str) -> Base | None:
    """Return the base model of a folder that holds only a PEFT adapter; None for any other folder."""
    path = folder / ADAPTER_CONFIG
    if not path.is_file() or (folder / "config.json").is_file():
        return None
    config = json.loads(path.read_text(encoding="utf-8"))
    model, revision = (config.get(key) for key in ("base_model_name_or_path", "revision"))
    if not model:
        raise ValueError(f"adapter {name} does not name its base model; load the base with adapter={name!r}")
    return Base(str(model), str(revision) if revision else None)
