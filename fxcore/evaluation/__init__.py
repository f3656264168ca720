"""Metrics from saved predictions, each with a bootstrap interval."""
