"""Proof by simulation: how often the rules are wrong, in a synthetic world with the fraud data's shape."""
