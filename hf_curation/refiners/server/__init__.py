"""Refiners behind an OpenAI-compatible server, and what happens when it misbehaves."""

from hf_curation.refiners.server.failures import (
    FAILURES,
    KeyUnusable,
    ServerDown,
    ServerFailure,
    ServerRefused,
    TooManyFailures,
)
from hf_curation.refiners.server.form import RequestForm
from hf_curation.refiners.server.policy import ServerPolicy
from hf_curation.refiners.server.refiner import ServerRefiner
from hf_curation.refiners.server.stats import ServerStats

__all__ = [
    "FAILURES",
    "KeyUnusable",
    "RequestForm",
    "ServerDown",
    "ServerFailure",
    "ServerPolicy",
    "ServerRefiner",
    "ServerRefused",
    "ServerStats",
    "TooManyFailures",
]
