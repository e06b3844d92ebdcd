"""Shelf: through which glasses a critic sees. One file, one idea; dropping a file in is all it takes."""
