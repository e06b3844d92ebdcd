"""Shelf: opposed losses of a critic's scores. One file, one idea; dropping a file in is all it takes."""
