"""Shelf: Net(inp, out, given) from one space to another. One file, one architecture."""
