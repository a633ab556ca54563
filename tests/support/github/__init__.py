"""A stand-in for GitHub's REST API, and GitHub's own description of it to check requests against."""
