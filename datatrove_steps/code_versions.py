"""Which code made an output: what a plan says of it, so that other code is another plan."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from hf_curation import __version__
from hf_curation.files.plans import code_digest


def versions_of(code: Sequence[str], packages: Sequence[str]) -> dict[str, str]:
    """Return versions of this distribution, of Python and of `packages`, and a digest over our packages `code`."""
    folders = [Path(path) for name in code for path in _locations(name)]
    python = ".".join(platform.python_version_tuple()[:2])
    own = {"hf_curation": __version__, "code_sha256": code_digest(*folders), "python": python}
    return own | {name: version(name) for name in packages}


def _locations(package: str) -> list[str]:
    spec = find_spec(package)
    return list(spec.submodule_search_locations or ()) if spec else []
