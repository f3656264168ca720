"""From parameters to jobs: what Snakemake and DVC are told, and what it will cost. Imports no torch."""
