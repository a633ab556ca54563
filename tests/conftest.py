"""Fixtures that all tests share."""

pytest_plugins = ["tests.support.github.fixtures", "tests.support.worlds", "tests.support.hosted_world"]
