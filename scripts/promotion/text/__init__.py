"""Figures for people, and other people's text made harmless."""
