"""Shelf: what a generator must not do. One file, one idea; dropping a file in is all it takes."""
