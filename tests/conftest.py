"""Fixtures that all tests share."""

pytest_plugins = ["github.fixtures", "worlds", "hosted_world"]
