"""Typed parameters, a module for each block, so that a job's source files include only the blocks it uses."""
