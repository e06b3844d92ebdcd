"""Shelf: a look at examples -> how odd each is. One file, one idea."""
