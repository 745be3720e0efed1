# /// script
# dependencies = ["hf-curation[report,select]"]
# ///
r"""Choose the documents of a corpus that are like a target, by a file of settings.

python recipes/select/run.py --demo runs/select                  # writes the corpus that config.yaml names
python recipes/select/run.py --config recipes/select/config.yaml
python recipes/select/run.py --config recipes/select/config.yaml --budget 20% --output runs/select/more \
    --weights_of runs/select/chosen                              # nothing is scored again

Settings: the fields of `datatrove_steps.SelectConfig`, default < YAML < command line. It goes on where it stopped.
"""

import json
import sys
from pathlib import Path

from hf_curation.config import resolve, split_config_path

DEMO_TARGET = 3
"""German pages that are the demo's target; the other three are to be found among 87 in 19 languages."""


def main(arguments: list[str]) -> None:
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return
    if arguments[0] == "--demo":
        write_demo(Path(arguments[1] if len(arguments) > 1 else "runs/select"))
        return
    from datatrove_steps import SelectConfig, importance_sampling

    path, settings = split_config_path(arguments)
    config = resolve(SelectConfig, path, settings)
    importance_sampling(config).run()
    summary = json.loads(Path(config.output, "summary.json").read_text())
    taken = {name: amount["documents"] for name, amount in summary["sources"].items() if amount["documents"]}
    print(json.dumps({"documents": summary["documents"], "sources": taken, "kl": summary["kl"]["probe"]}))


def write_demo(folder: Path) -> None:
    """Write the quickstart's pages, with their language as source, and three of the German ones as the target."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "quickstart"))
    from quickstart_pages import read_pages

    pages = [
        {"id": page["id"], "text": page["metadata"]["gold_text"], "source": page["metadata"]["language"]}
        for page in read_pages()
        if page["metadata"]["gold_text"]
    ]
    wanted = [page for page in pages if page["source"] == "de"][:DEMO_TARGET]
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("target", wanted), ("pages", [page for page in pages if page not in wanted])):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{folder / name}.jsonl: {len(rows)} documents")


if __name__ == "__main__":
    main(sys.argv[1:])
