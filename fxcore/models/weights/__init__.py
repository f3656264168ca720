"""Importing the published checkpoints of others."""

from fxcore.models.weights.importing import import_foundation_x

__all__ = ["import_foundation_x"]
