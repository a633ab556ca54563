"""Promotion against the back ends that teams run: PostgreSQL, S3, basic auth."""
