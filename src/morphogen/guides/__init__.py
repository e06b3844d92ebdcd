"""Shelf: what else a critic is asked. One file, one idea; dropping a file in is all it takes."""
