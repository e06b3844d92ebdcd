"""Lossless files of data that a model knows: see docs/format.md."""
