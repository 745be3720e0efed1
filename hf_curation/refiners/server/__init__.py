"""Refiners behind an OpenAI-compatible server, and what happens when it misbehaves."""

from hf_curation.refiners.server.failures import (
    FAILURES,
    ServerDown,
    ServerFailure,
    ServerRefused,
    TooManyFailures,
)
from hf_curation.refiners.server.policy import ServerPolicy
from hf_curation.refiners.server.refiner import ServerRefiner
from hf_curation.refiners.server.stats import ServerStats

__all__ = [
    "FAILURES",
    "ServerDown",
    "ServerFailure",
    "ServerPolicy",
    "ServerRefiner",
    "ServerRefused",
    "ServerStats",
    "TooManyFailures",
]
