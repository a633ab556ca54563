"""A server that follows an alias: scoring, batching, loading, following, and the HTTP application."""
