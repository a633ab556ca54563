"""GitHub: its API, its events, what a job tells the runner."""
