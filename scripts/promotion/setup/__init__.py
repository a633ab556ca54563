"""Into somebody's repository: what init.py writes there, and what it reads from a table."""
