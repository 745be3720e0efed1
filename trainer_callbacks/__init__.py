"""Thin adapters for `transformers.Trainer` under accelerate."""
