"""Nouns that two or more verbs share; see the README's architecture section."""
