"""The back ends, started once a session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends import Postgres, guarded_server, postgres, s3
from tests.support.mlflow_server import mlflow_server

PASSWORD = "correct-horse-battery-staple-42"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    """A PostgreSQL cluster."""
    with postgres() as made:
        yield made


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An S3 server, as the environment that points at it."""
    with s3(tmp_path_factory.mktemp("s3")) as env:
        yield env


@pytest.fixture(scope="module")
def proxied(cluster: Postgres, bucket: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow on PostgreSQL that passes artifacts through to S3: clients need no S3 credentials."""
    folder, args = tmp_path_factory.mktemp("proxied"), ("--artifacts-destination", "s3://models/proxied")
    with mlflow_server(folder, cluster.uri("proxied"), *args, env=bucket) as url:
        yield url


@pytest.fixture(scope="module")
def direct(cluster: Postgres, bucket: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow on PostgreSQL whose clients read and write S3 themselves."""
    folder = tmp_path_factory.mktemp("direct")
    args = ("--default-artifact-root", "s3://models/direct", "--no-serve-artifacts")
    with mlflow_server(folder, cluster.uri("direct"), *args, env=bucket) as url:
        yield url


@pytest.fixture(scope="module")
def guarded(cluster: Postgres, bucket: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow with basic auth; the admin's password is PASSWORD."""
    with guarded_server(tmp_path_factory.mktemp("guarded"), cluster.uri("guarded"), PASSWORD, bucket) as url:
        yield url


@pytest.fixture
def s3_client(bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process as an S3 client."""
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    return bucket


@pytest.fixture
def without_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process without any S3 credentials."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_S3"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test's repository goes."""
    return tmp_path / "repo"
