"""Git: reading a repository, and commits beside the work tree."""
