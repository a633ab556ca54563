"""The pieces of `make demo`: a hosted repository, its pull requests, a client of the server."""
