"""Files that can be trusted: whole at their final names, listed in a manifest, checked against their input."""

from hf_curation.files.accounts import ConservationError, StageAccount
from hf_curation.files.atomic import PartFile, write_json, write_whole
from hf_curation.files.lock import lock_folder
from hf_curation.files.manifest import Manifest, OutputFile, check_run, finished_ranks
from hf_curation.files.plans import Plan, claim_folder
from hf_curation.files.reading import ShardError
from hf_curation.files.sources import Source, SourceFile, find_source, fingerprint

__all__ = [
    "ConservationError",
    "Manifest",
    "OutputFile",
    "PartFile",
    "Plan",
    "ShardError",
    "Source",
    "SourceFile",
    "StageAccount",
    "check_run",
    "claim_folder",
    "find_source",
    "fingerprint",
    "finished_ranks",
    "lock_folder",
    "write_json",
    "write_whole",
]
