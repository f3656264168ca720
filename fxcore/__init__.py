"""fxcore: the Foundation X study, rebuilt by one command."""

__version__ = "0.1.0"
