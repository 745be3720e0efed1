"""The embedded line tagger: a refiner that ships with the package."""

from hf_curation.refiners.tagger.line_tagger import LineTagger

__all__ = ["LineTagger"]
