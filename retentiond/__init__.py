"""retentiond: a daemon that makes databases do what a privacy policy says."""

__version__ = "0.1.0"
