"""datatrove steps over `hf_curation`: readers, refining steps, writers, and builders of whole pipelines."""

from datatrove_steps.columns import infer_columns
from datatrove_steps.custody import record_custody
from datatrove_steps.executors import LocalRanks, RanksFailedError
from datatrove_steps.importance import (
    ChooseThreshold,
    CountNgrams,
    FitImportance,
    KeepChosen,
    SelectConfig,
    WeighDocuments,
    importance_sampling,
)
from datatrove_steps.ledger import Ledger
from datatrove_steps.package_descriptions import ReadPackageDescriptions
from datatrove_steps.pipelines import refine_pipeline
from datatrove_steps.publish import FinishRun, PublishRank
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.refine import RefineChunks, RefineDocuments
from datatrove_steps.refine_plan import RefineConfig
from datatrove_steps.tokenize import MergeTokenStore, TokenizeDocuments
from datatrove_steps.tokenize_pipeline import TokenizeConfig, tokenize_documents
from datatrove_steps.writers import WriteJsonl, WriteParquet

__all__ = [
    "ChooseThreshold",
    "CountNgrams",
    "FinishRun",
    "FitImportance",
    "KeepChosen",
    "Ledger",
    "LocalRanks",
    "MergeTokenStore",
    "PublishRank",
    "RanksFailedError",
    "ReadDocuments",
    "ReadPackageDescriptions",
    "RefineChunks",
    "RefineConfig",
    "RefineDocuments",
    "SelectConfig",
    "TokenizeConfig",
    "TokenizeDocuments",
    "WeighDocuments",
    "WriteJsonl",
    "WriteParquet",
    "importance_sampling",
    "infer_columns",
    "record_custody",
    "refine_pipeline",
    "tokenize_documents",
]
