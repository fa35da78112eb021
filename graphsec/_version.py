"""The version of the package, for every layer to read."""

__version__ = "0.1.0"
