"""A pull request: its classification, its work folder, what comes in, the pins pushed."""
