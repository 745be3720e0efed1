"""The design's arrows, read from the imports: datatrove_steps -> hf_curation <- trainer_callbacks; no circles."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("hf_curation", "datatrove_steps", "trainer_callbacks")
ALLOWED = {
    "hf_curation": {"hf_curation"},
    "datatrove_steps": {"datatrove_steps", "hf_curation"},
    "trainer_callbacks": {"trainer_callbacks", "hf_curation"},
}
# The command line is the one place of hf_curation that puts the packages together, inside functions.
COMPOSITION_ROOT = "hf_curation.cli."


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}

CORE = [name for name in MODULES if not name.startswith(COMPOSITION_ROOT)]


def imports_of(module: str) -> set[str]:
    """Every module that `module` imports, wherever in the file the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import, line {node.lineno}"
            # `from a.b import c`: c may be a module of its own or a name in a.b.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else str(node.module))
    return found


@pytest.mark.parametrize("module", CORE)
def test_arrows_run_one_way(module):
    package = module.split(".")[0]
    ours = {name.split(".")[0] for name in imports_of(module)} & set(PACKAGES)
    assert ours <= ALLOWED[package], f"{module} imports {sorted(ours - ALLOWED[package])}"


@pytest.mark.parametrize("module", [name for name in CORE if name.startswith("hf_curation")])
def test_the_core_knows_neither_datatrove_nor_the_trainer(module):
    assert not {name.split(".")[0] for name in imports_of(module)} & {"datatrove", "accelerate"}


def test_no_circles():
    graph = {name: imports_of(name) & set(MODULES) for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "circle: " + " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("module", ["hf_curation", "hf_curation.programs", "hf_curation.packing", "datatrove_steps"])
def test_importing_a_package_loads_nothing_heavy(module):
    heavy = loaded_after(f"import {module}") & {"torch", "transformers", "datasets", "httpx", "jinja2", "pandas"}
    assert not heavy


def test_help_loads_nothing_heavy():
    code = "import sys; from hf_curation.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not loaded_after(code) & {"torch", "transformers", "datatrove", "numpy", "pyarrow", "jinja2"}


def test_no_file_outgrows_the_house():
    long = {name: n for name, path in MODULES.items() if (n := len(path.read_text("utf-8").splitlines())) > 450}
    assert not long


def loaded_after(code: str) -> set[str]:
    """Names of the top-level modules in `sys.modules` after running `code` in a fresh interpreter."""
    program = f"{code}\nimport sys; print('\\n' + ' '.join(m for m in sys.modules if '.' not in m))"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(out.stdout.splitlines()[-1].split())
