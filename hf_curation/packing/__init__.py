"""One tokenized copy of the data, and cheap plans that pack it into training sequences."""

from hf_curation.packing.plan import PLANS, DocumentLengths, PackPlan, PlanFigures, figures_of, make_plan
from hf_curation.packing.store import ShardWriter, TokenStore, token_dtype, vocabulary_hash, write_store_index

__all__ = [
    "PLANS",
    "DocumentLengths",
    "PackPlan",
    "PlanFigures",
    "ShardWriter",
    "TokenStore",
    "figures_of",
    "make_plan",
    "token_dtype",
    "vocabulary_hash",
    "write_store_index",
]
