"""Refinement programs: parse, print, execute, replay, derive."""
