"""hf-curation: decide what a language model is pre-trained on, and how."""

__version__ = "0.1.0"
