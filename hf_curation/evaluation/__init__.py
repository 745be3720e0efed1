"""Measures of what refining did."""
