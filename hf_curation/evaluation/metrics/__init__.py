"""Metrics of `evaluate` as local script modules, a folder each."""
