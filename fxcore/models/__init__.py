"""The Foundation X network: one backbone, heads for three tasks and any number of datasets."""
