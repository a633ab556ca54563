"""Attacks: each succeeded once and fails now. One file a kind; table.py makes the table of tests/README.md."""
