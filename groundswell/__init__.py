"""The shared vocabulary: records, settings, metrics and errors. Nothing here does I/O."""

__version__ = "0.1.0"
