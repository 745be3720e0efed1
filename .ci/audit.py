"""Look up the pinned packages among known vulnerabilities; exit code 1 where one of them has one.

python .ci/audit.py [PINS]      # default: .ci/constraints.txt; makes an environment of its own for pip-audit

Where the service cannot be asked (no network, or an index of one's own that has no such data), nothing is known and
nothing is wrong: the last line says so, and the exit code is 0. pip-audit itself says "No known vulnerabilities found"
of packages that it could not look up at all; here they are counted.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PIP_AUDIT = "pip-audit>=2.9,<3"
# A finding that does not concern us goes here with its reason: {"GHSA-...": "why"}.
ACCEPTED: dict[str, str] = {}
TIMEOUT_S = 180


def judge(report: dict[str, Any]) -> tuple[int, str]:
    """Return the exit code for what pip-audit reports as JSON, and what to say."""
    packages = report["dependencies"]
    unknown = [one for one in packages if "skip_reason" in one]
    found = [
        f"{one['name']} {one['version']}: {entry['id']}, fixed in {', '.join(entry['fix_versions']) or 'no version'}"
        for one in packages
        for entry in one.get("vulns", [])
        if not {entry["id"], *entry.get("aliases", [])} & ACCEPTED.keys()
    ]
    asked = f"{len(packages) - len(unknown)} of {len(packages)} packages looked up"
    if found:
        return 1, "\n".join([f"audit: {asked}, {len(found)} known vulnerabilities:", *found])
    if len(unknown) == len(packages):
        return 0, "audit: nothing is known, no package could be looked up here"
    return 0, f"audit: {asked}, no known vulnerability"


def run(pins: Path, folder: Path) -> tuple[int, str]:
    """Run pip-audit in an environment of its own."""
    venv.create(folder, with_pip=True)
    python, output = str(folder / "bin" / "python"), folder / "report.json"
    if _call(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", PIP_AUDIT).returncode != 0:
        return 0, "audit: nothing is known, pip-audit cannot be installed here"
    options = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "10", "--format", "json")
    done = _call(python, "-m", "pip_audit", "--requirement", str(pins), *options, "--output", str(output))
    if not output.exists():  # the service could not be reached
        return 0, f"audit: nothing is known, {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    return judge(json.loads(output.read_bytes()))


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)  # noqa: S603 - ours


def main(arguments: list[str]) -> int:
    """Audit, and say what came out; return the exit code."""
    pins = Path(arguments[0]) if arguments else HERE / "constraints.txt"
    if not pins.is_file():
        print(f"audit: there are no pins at {pins}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        try:
            code, said = run(pins, Path(folder))
        except subprocess.TimeoutExpired:
            code, said = 0, f"audit: nothing is known, no answer in {TIMEOUT_S} s"
    print(said)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
