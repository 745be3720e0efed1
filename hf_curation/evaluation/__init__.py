"""Measures: of what refining did to pages, and of what a model makes of documents with and without their metadata."""

from hf_curation.evaluation.conditional import Conditioner, generate, score_documents
from hf_curation.evaluation.document_score import DocumentScore, bits_per_byte, score_of
from hf_curation.evaluation.metric_path import metric_path

__all__ = ["Conditioner", "DocumentScore", "bits_per_byte", "generate", "metric_path", "score_documents", "score_of"]
