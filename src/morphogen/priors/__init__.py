"""Shelf: (posterior) -> Distribution over codes. One file, one prior."""
