"""What can go wrong between promote.py and the registry, made to happen on purpose."""
