"""Shelf: what is learned where few labels are known. One file, one idea; dropping a file in is all it takes."""
