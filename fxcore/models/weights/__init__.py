"""Released weights: importing the published checkpoints of others, and writing and reading our own."""

from fxcore.models.weights.importing import import_foundation_x

__all__ = ["import_foundation_x"]
