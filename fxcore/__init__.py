"""fxcore: Foundation X and the CXR-LT 2024 study, rebuilt by one command."""

__version__ = "0.1.0"
