"""Fuzzing: whatever comes in is refused in one sentence, or is what the honest one is."""
