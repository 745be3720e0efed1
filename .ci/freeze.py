"""Print pinned versions of everything that `hf-curation[dev]` needs, as installed here: `.ci/constraints.txt`."""

from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def closure(root: str, extras: frozenset[str], seen: dict[tuple[str, frozenset[str]], str]) -> None:
    """Add `root` with `extras`, and all that they require, to `seen`."""
    key = (canonicalize_name(root), extras)
    if key in seen:
        return
    try:
        dist = distribution(root)
    except PackageNotFoundError:
        return  # asked for under a marker that does not hold here
    seen[key] = dist.version
    for line in dist.requires or ():
        req = Requirement(line)
        if req.marker is None or any(req.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            closure(req.name, frozenset(req.extras), seen)


if __name__ == "__main__":
    found: dict[tuple[str, frozenset[str]], str] = {}
    closure("hf-curation", frozenset({"dev"}), found)
    pins = {name: version.split("+")[0] for (name, _), version in found.items() if name != "hf-curation"}
    for name in sorted(pins):
        print(f"{name}=={pins[name]}")
