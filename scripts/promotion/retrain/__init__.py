"""Retrain pull requests: opened, updated, scheduled."""
