"""Training data for refiners."""
