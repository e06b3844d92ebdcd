"""Shelf: what can happen to an example on its way to us. One file, one damage; dropping a file in is all it takes."""
