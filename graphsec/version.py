"""The version of the package, for modules below the public API too."""

__version__ = "0.1.0"
