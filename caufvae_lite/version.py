"""Versions, in one place: the package's, and the public contract's (see CHANGELOG)."""

__version__ = "0.1.0"
CONTRACT_VERSION = "1.0"
