"""The table of cases is true: every test that it names exists, every case has an outcome, no list is left out."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = tomllib.loads(Path(__file__).with_name("cases.toml").read_text(encoding="utf-8"))
LISTS = {
    "poison_documents": 20,
    "bad_shards": 8,
    "lost_by_datatrove": 6,
    "hostile_programs": 20,
    "lm_server": 15,
    "disk": 7,
    "resume": 5,
    "kills": 3,
    "urls": 12,
    "sampler": 12,
    "training_resume": 15,
    "security": 10,
    "hub": 15,
}
"""List -> how many cases it has at least."""
ROWS = [(name, case) for name, cases in CASES.items() for case in cases]


@cache
def names_in(path: str) -> frozenset[str]:
    """Names of the tests of a file, those of classes as `Class::test`."""
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


@pytest.mark.parametrize(("name", "case"), ROWS, ids=[f"{name}: {case}" for name, case in ROWS])
def test_every_case_has_an_outcome_and_a_test(name, case):
    row = CASES[name][case]
    assert row.keys() == {"outcome", "tests"}
    assert row["outcome"].strip()
    assert row["tests"]
    for node in row["tests"]:
        path, _, test = node.partition("::")
        assert (ROOT / path).is_file(), node
        assert test in names_in(path), node


def test_no_list_is_left_out():
    assert {name: len(cases) for name, cases in CASES.items() if name in LISTS}.keys() == LISTS.keys()
    for name, number in LISTS.items():
        assert len(CASES[name]) >= number, name


@pytest.mark.parametrize("folder", ["reliability", "security"])
def test_every_file_of_cases_is_in_the_table(folder):
    named = {node.partition("::")[0] for cases in CASES.values() for row in cases.values() for node in row["tests"]}
    files = {f"tests/{folder}/{path.name}" for path in (ROOT / "tests" / folder).glob("test_*.py")}
    assert files - named <= {"tests/reliability/test_cases.py"}


def test_a_test_that_does_not_exist_is_noticed():
    assert "test_no_list_is_left_out" in names_in("tests/reliability/test_cases.py")
    assert "test_that_nobody_wrote" not in names_in("tests/reliability/test_cases.py")
    assert "TestBudgets::test_nothing" in names_in("tests/hf_curation/sampling/test_choose.py")
