"""Vocabularies: grow one towards a target, prune it, encode with it."""

from hf_curation.vocabulary.adapt import adapt_tokenizer
from hf_curation.vocabulary.adapted import AdaptedTokenizer, TokenChange
from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.self_test import SelfTestError, self_test
from hf_curation.vocabulary.settings import VOLT_SIZES, AdaptSettings
from hf_curation.vocabulary.utility import CurvePoint

__all__ = [
    "VOLT_SIZES",
    "AdaptSettings",
    "AdaptedTokenizer",
    "ByteLevelBPE",
    "CurvePoint",
    "SelfTestError",
    "TokenChange",
    "adapt_tokenizer",
    "self_test",
]
