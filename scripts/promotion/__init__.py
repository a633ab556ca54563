"""Nouns that two or more verbs share; scripts/README.md has their order."""

__version__ = "0.1.0"
