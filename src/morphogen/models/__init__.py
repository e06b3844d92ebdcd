"""Shelf: the few structures; variants of them are recipes."""
