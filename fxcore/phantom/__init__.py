"""Synthetic radiographs, written in native formats."""
