"""Thin adapters: datatrove PipelineSteps over hf_curation."""
