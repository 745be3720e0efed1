"""Vocabularies: grow one towards a target, prune it, encode with it."""

from hf_curation.vocabulary.adapt import adapt_tokenizer
from hf_curation.vocabulary.adapted import AdaptedTokenizer, TokenChange
from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.embeddings import EmbeddingTransfer, transfer_embeddings
from hf_curation.vocabulary.encoding import BulkEncoder, load_bulk_encoder
from hf_curation.vocabulary.self_test import SelfTestError, self_test
from hf_curation.vocabulary.settings import VOLT_SIZES, AdaptSettings
from hf_curation.vocabulary.utility import CurvePoint

__all__ = [
    "VOLT_SIZES",
    "AdaptSettings",
    "AdaptedTokenizer",
    "BulkEncoder",
    "ByteLevelBPE",
    "CurvePoint",
    "EmbeddingTransfer",
    "SelfTestError",
    "TokenChange",
    "adapt_tokenizer",
    "load_bulk_encoder",
    "self_test",
    "transfer_embeddings",
]
