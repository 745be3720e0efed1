# /// script
# dependencies = ["hf-curation[serve]", "pyyaml"]
# ///
"""Make training data for a refiner, from pages with clean text or with a teacher's help.

python recipes/train_refiner/make_data.py PAGES.jsonl.gz OUT
python recipes/train_refiner/make_data.py PAGES.jsonl.gz OUT --set student.window_tokens=512 --push you/data --dry-run
python recipes/train_refiner/make_data.py                         # the quickstart pages, into a folder of runs/

The same as `hf-curation refiner make-data` with the configuration beside this file, and then it reads the set back and
prints one example of each kind. README.md says what is in it.
"""

import sys
from pathlib import Path

from hf_curation.cli.main import main as hf_curation
from hf_curation.refiners.training import Example, read_training_set

HERE = Path(__file__).parent
QUICKSTART = HERE.parent / "quickstart"
RUNS = Path("runs") / "train_refiner"


def main(argv: list[str]) -> int:
    if "-h" in argv or "--help" in argv:
        print(__doc__)
        return hf_curation(["refiner", "make-data", "--help"])
    if len(argv) < 2 or argv[0].startswith("-"):
        argv = [str(quickstart_pages()), str(RUNS / "data"), *argv]
    if "--config" not in argv:
        argv = [*argv, "--config", str(HERE / "config.yaml")]
    code = hf_curation(["refiner", "make-data", *argv])
    if code == 0 and "--json" not in argv:
        show(Path(argv[1]))
    return code


def quickstart_pages() -> Path:
    """Write the hand-marked pages of the quickstart as JSON lines."""
    sys.path.insert(0, str(QUICKSTART))
    from quickstart_pages import main as write_pages

    path = RUNS / "quickstart.jsonl"
    write_pages(["--out", str(path)])
    return path


def show(folder: Path) -> None:
    """Print an example of each kind."""
    shown: dict[tuple[str, str], Example] = {}
    for example in read_training_set(folder, "train"):
        shown.setdefault((example.stage, example.kind), example)
    for (stage, kind), example in sorted(shown.items()):
        lines = example.user.split("\n")
        print(
            f"\n--- {stage}, {kind} ({example.origin}, {example.source_id}); {len(lines)} lines shown to the student"
        )
        print("\n".join(line[:100] for line in lines[:8]))
        print(f">>>\n{example.program}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
