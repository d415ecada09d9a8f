"""Stupid Simple Market Data."""

from importlib.metadata import version

__version__ = version("ssmd")
