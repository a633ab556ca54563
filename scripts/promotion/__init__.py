"""Nouns that two or more verbs share; scripts/README.md has their order."""

__version__ = "0.1.0"
OBJECT_ID = r"[0-9a-f]{40}([0-9a-f]{24})?"  # of a git commit or tree, SHA-1 or SHA-256
