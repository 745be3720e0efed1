r"""Configurations of recipes: defaults in a dataclass, over them a YAML file, over that the command line.

    @dataclass(frozen=True, kw_only=True)
    class Config:
        data: Data = Data()                                       # a section: another dataclass
        training: dict[str, Any] = open_section(argument_names)   # keys of somebody else's class, checked as well

    config = resolve(Config, "config.yaml", ["--training.max_steps", "40", "--seq_len=512"])

A key that does not exist is an error that names the nearest one: a misspelt key that is passed over costs a training
run. On the command line a key may be written without its section where that is no other section's key too. Values are
YAML on both ways in, with two differences from PyYAML: `3e-4` is a number (it takes it for text) and a repeated key is
an error (it takes the last).
"""

import difflib
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_SECRETS = ("hub_token", "access_token", "auth_token", "api_key", "password", "secret")
"""How the keys of settings end that are one."""


def open_section(names: Callable[[], Collection[str]], defaults: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
    """Return a dataclass field for a section whose keys are the arguments of another class.

    Args:
        names: Gives the keys that exist; called only when a configuration is resolved.
        defaults: Values where that class's own are not wanted; a file or command line adds to them.
    """
    return field(default_factory=lambda: dict(defaults or {}), metadata={"names": names})


def resolve(schema: type[T], path: str | Path | None = None, arguments: Sequence[str] = ()) -> T:
    """Return the configuration: default < YAML < command line.

    Args:
        schema: A dataclass with a default, a section or a value given for every field.
        path: A YAML file; None: no file.
        arguments: `--key value` or `--key=value`; a key without a value is true.

    Raises:
        ValueError: for an unknown, ambiguous or repeated key, a value of another type, a value that the dataclass
            itself refuses, a field that has no value at all, or a secret: what is resolved is written out.
    """
    values = read_yaml(path) if path is not None else {}
    _check_keys(schema, values, "")
    for name, text in _pairs(arguments):
        section, key = _find(schema, name)
        _put(values, section, key, parse_value(text))
    _refuse_secrets(values)
    return _build(schema, values, "")


def _refuse_secrets(values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping):
            _refuse_secrets(value)
        elif isinstance(value, str) and value and str(key).endswith(_SECRETS):
            raise ValueError(
                f"{key} is a secret, and the configuration is written beside what it makes; leave it out, and put it "
                "into the environment (HF_TOKEN for the Hub) or log in"
            )


def split_config_path(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the path behind `--config`, None where there is none, and the other arguments.

    Raises:
        ValueError: if `--config` has no path or stands twice.
    """
    found = [value for name, value in _pairs(arguments) if name == "config"]
    if not found:
        return None, list(arguments)
    if found == ["true"]:
        raise ValueError("--config needs the path of a YAML file")
    rest = [word for word in arguments if word != f"--config={found[0]}"]
    if "--config" in rest:
        at = rest.index("--config")
        del rest[at : at + 2]
    return found[0], rest


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the mapping that a YAML or JSON file holds; an empty file holds none.

    Raises:
        ValueError: if it is no YAML, repeats a key, or holds something else than a mapping.
    """
    import yaml  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - comes with transformers

    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_loader())  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold keys and values, got {type(value).__name__}")
    return value


def parse_value(text: str) -> Any:  # noqa: ANN401
    """Return a value as YAML reads it (`40`, `3e-4`, `true`, `null`, `[a, b]`); text where it is no YAML."""
    import yaml  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415

    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a SafeLoader
    except yaml.YAMLError:
        return text


def write_yaml(path: str | Path, config: Any) -> None:  # noqa: ANN401 - a dataclass
    """Write a resolved configuration, so that the same file gives the same run."""
    import yaml  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415

    Path(path).write_text(yaml.safe_dump(_plain(asdict(config)), sort_keys=False), encoding="utf-8")


@cache
def _loader() -> Any:  # noqa: ANN401
    import yaml  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415

    class Loader(yaml.SafeLoader):  # type: ignore[misc,unused-ignore]
        """YAML 1.1 with the numbers of 1.2, and without repeated keys."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: ANN401
            keys = [key.value for key, _ in node.value]
            if twice := {key for key in keys if keys.count(key) > 1}:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {min(twice)!r} stands twice", node.start_mark
                )
            return super().construct_mapping(node, deep)

    number = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)[eE][-+]?[0-9]+")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    # A time limit such as 4:00:00 is a string; YAML 1.1 reads it to the base of 60, as 14400.
    time = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
    for first in "-+0123456789":
        Loader.yaml_implicit_resolvers[first].insert(0, ("tag:yaml.org,2002:str", time))
    return Loader


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    waiting = list(arguments)
    seen: set[str] = set()
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--") or word == "--":
            raise ValueError(f"expected --key value, got {word!r}")
        name, is_joined, text = word[2:].partition("=")
        if not is_joined:
            text = "true" if not waiting or waiting[0].startswith("--") else waiting.pop(0)
        if name in seen:
            raise ValueError(f"--{name} is given twice")
        seen.add(name)
        yield name, text


def _names(schema: type) -> dict[str, Collection[str] | None]:
    """Return each field with the keys of its section; None for a plain value."""
    hints = typing.get_type_hints(schema)
    found: dict[str, Collection[str] | None] = {}
    for one in fields(schema):
        if "names" in one.metadata:
            found[one.name] = one.metadata["names"]()
        else:
            found[one.name] = list(_names(hints[one.name])) if is_dataclass(hints[one.name]) else None
    return found


def _find(schema: type, name: str) -> tuple[str | None, str]:
    """Return section and key that an argument means."""
    names = _names(schema)
    section, is_dotted, key = name.partition(".")
    if is_dotted:
        keys = names.get(section)
        if keys is None:
            raise _unknown(section, [s for s, k in names.items() if k is not None], "section")
        if key not in keys:
            raise _unknown(name, [f"{section}.{k}" for k in keys])
        return section, key
    if name in names and names[name] is None:
        return None, name
    owners = [section for section, keys in names.items() if keys is not None and name in keys]
    if len(owners) == 1:
        return owners[0], name
    if owners:
        raise ValueError(f"--{name} may be {' or '.join(f'--{owner}.{name}' for owner in owners)}: write which")
    raise _unknown(name, [*names, *(key for keys in names.values() for key in keys or ())])


def _check_keys(schema: type, values: Mapping[str, Any], where: str) -> None:
    names = _names(schema)
    for key, value in values.items():
        if key not in names:
            raise _unknown(f"{where}{key}", [f"{where}{name}" for name in names])
        keys = names[key]
        if keys is None:
            continue
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}{key} is a section with keys, got {value!r}")
        for inner in value:
            if inner not in keys:
                raise _unknown(f"{key}.{inner}", [f"{key}.{k}" for k in keys])


def _unknown(name: str, known: Sequence[str], what: str = "setting") -> ValueError:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known)[:20])}"
    return ValueError(f"unknown {what} {name!r}: {hint}")


def _put(values: dict[str, Any], section: str | None, key: str, value: Any) -> None:  # noqa: ANN401
    if section is None:
        values[key] = value
    else:
        values[section] = {**values.get(section, {}), key: value}


def _build(schema: type[T], values: Mapping[str, Any], where: str) -> T:
    hints = typing.get_type_hints(schema)
    built: dict[str, Any] = {}
    for one in fields(schema):  # type: ignore[arg-type]
        name, hint = one.name, hints[one.name]
        if "names" in one.metadata:
            assert one.default_factory is not MISSING
            built[name] = one.default_factory() | dict(values.get(name, {}))
        elif is_dataclass(hint):
            built[name] = _build(typing.cast("type[Any]", hint), values.get(name, {}), f"{name}.")
        elif name in values:
            built[name] = _convert(values[name], hint, f"{where}{name}")
        elif one.default is MISSING and one.default_factory is MISSING:
            raise ValueError(f"{where}{name} has no default: set it in the file or with --{where}{name}")
    return schema(**built)


def _convert(value: Any, hint: Any, name: str) -> Any:  # noqa: ANN401
    """Return a value in the type of its field; only what loses nothing is converted."""
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for choice in choices:
        origin = typing.get_origin(choice) or choice
        if origin in (tuple, list) and isinstance(value, list):
            return origin(_convert(item, typing.get_args(choice)[0], name) for item in value)
        if origin is float and type(value) is int:
            return float(value)
        if origin is Path and isinstance(value, str):
            return Path(value)
        if (members := _members(choice)) and value in members:
            return members[value]
        if isinstance(origin, type) and type(value) is origin:
            return value
    raise ValueError(f"{name} must be {' or '.join(map(_describe, choices))}, got {value!r}")


def _members(choice: Any) -> dict[Any, Any]:  # noqa: ANN401
    """Return the values of an enumeration or `Literal` as they are written, with what each becomes."""
    if typing.get_origin(choice) is typing.Literal:
        return {value: value for value in typing.get_args(choice)}
    if isinstance(choice, type) and issubclass(choice, Enum):
        return {member.value: member for member in choice}
    return {}


def _describe(choice: Any) -> str:  # noqa: ANN401
    if members := _members(choice):
        return " or ".join(map(str, members))
    return "null" if choice is type(None) else str(getattr(choice, "__name__", choice))


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value as YAML types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
