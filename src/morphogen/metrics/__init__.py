"""Shelf: what scores a model or its samples, each with its protocol."""
