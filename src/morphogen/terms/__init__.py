"""Shelf: Inference -> cost in nats a datum. One file, one idea."""
