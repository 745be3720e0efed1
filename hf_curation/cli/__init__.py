"""`hf-curation VERB`: one file a verb, each thin."""
