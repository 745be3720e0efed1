"""Vocabularies: grow one towards a target, prune it, encode with it."""
