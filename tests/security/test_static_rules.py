"""Rules for every line that ships, read from the syntax tree: what may not be called, and that lint is on."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("hf_curation", "datatrove_steps", "trainer_callbacks", "recipes", ".ci")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
UNPICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
RUNS_SHELL = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}
ALLOWED = {"recipes/granular_sampling/run.py": {"calls extractall"}}
"""Wheels that pip downloaded, unpacked by zipfile, which keeps members inside the folder."""
FORBIDDEN_LINT = {"S102", "S301", "S302", "S307", "S602", "S604", "S605", "S614"}
"""Of flake8-bandit: exec, pickle, marshal, eval, shell=True, os.system, torch.load. No line may switch one off."""


def faults(source: str) -> list[str]:
    """What a file does that none may do."""
    return [f"line {node.lineno}: {fault}" for node in ast.walk(ast.parse(source)) for fault in _faults_of(node)]


def _faults_of(node):
    if isinstance(node, ast.Import):
        yield from (f"imports {one.name}" for one in node.names if one.name.partition(".")[0] in UNPICKLES)
    elif isinstance(node, ast.ImportFrom):
        if str(node.module).partition(".")[0] in UNPICKLES:
            yield f"imports from {node.module}"
    elif isinstance(node, ast.Call):
        yield from _faults_of_call(node)


def _faults_of_call(node):
    options = {one.arg: one.value for one in node.keywords}

    def is_given(name, value):
        return isinstance(options.get(name), ast.Constant) and options[name].value is value

    if isinstance(node.func, ast.Name) and node.func.id in RUNS_TEXT:
        yield f"calls {node.func.id}"
    for name in ("shell", "trust_remote_code", "allow_pickle"):
        if name in options and not is_given(name, False):
            yield f"{name} is not False"
    if not isinstance(node.func, ast.Attribute):
        return
    owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
    if (owner, node.func.attr) in RUNS_SHELL:
        yield f"calls {owner}.{node.func.attr}"
    if (owner, node.func.attr) == ("torch", "load") and not is_given("weights_only", True):
        yield "torch.load without weights_only=True"
    if (owner, node.func.attr) == ("yaml", "load") and "Loader" not in options:
        yield "yaml.load without a loader"
    if node.func.attr in ("extractall", "unsafe_load", "full_load"):
        yield f"calls {node.func.attr}"


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(ROOT).as_posix() for path in FILES])
def test_nothing_runs_or_unpickles_what_it_is_given(path):
    found = {fault.partition(": ")[2] for fault in faults(path.read_text(encoding="utf-8"))}
    assert found == ALLOWED.get(path.relative_to(ROOT).as_posix(), set())


@pytest.mark.parametrize(
    "line",
    [
        "eval('1')",
        "exec(text)",
        "import pickle",
        "from dill import loads",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=flag)",
        "os.system('x')",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "tar.extractall()",
    ],
)
def test_the_rules_find_what_they_forbid(line):
    assert len(faults(line)) == 1


def test_the_loader_of_yaml_makes_plain_values_only():
    import yaml

    from hf_curation.config import _loader, parse_value

    assert issubclass(_loader(), yaml.SafeLoader)
    assert parse_value("!!python/object/apply:os.getcwd []") == "!!python/object/apply:os.getcwd []"


def test_lint_of_security_is_on_and_stays_on():
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    lifted = {rule for rules in lint["per-file-ignores"].values() for rule in rules} | set(lint["ignore"])
    assert not lifted & (FORBIDDEN_LINT | {"S"})
    for path in FILES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            _, found, rules = line.partition("# noqa")
            assert not (found and not rules.startswith(":")), f"{path}, line {number}: a noqa without its rule"
            off = {rule for rule in FORBIDDEN_LINT if rule in rules}
            assert not off, f"{path}, line {number}: switches {off} off"
