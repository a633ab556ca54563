"""PostgreSQL in a temporary folder, an S3 server, and MLflow servers on top, all real and all local."""

import contextlib
import glob
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.mlflow_server import free_port, mlflow_server, process, wait_for

DATABASES = ("proxied", "direct", "guarded")
S3_ENV = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


def binaries() -> Path:
    """The folder of PostgreSQL's programs; skips where there is none."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) + [path for path in [shutil.which("initdb")] if path]
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return Path(os.path.realpath(found[-1])).parent


def unprivileged() -> int | None:
    """The user that PostgreSQL runs as, because it refuses root; None where we are none."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    pytest.skip("running as root, and there is no user `postgres` or `nobody` to run PostgreSQL as")


def psycopg2_is_here() -> bool:
    """Whether PostgreSQL's driver is installed."""
    return importlib.util.find_spec("psycopg2") is not None


@dataclass(frozen=True)
class Postgres:
    """A running cluster."""

    port: int
    password: str

    def uri(self, database: str) -> str:
        """The SQLAlchemy URI of a database (from SQLAlchemy 2.1 on a plain `postgresql:` means psycopg 3)."""
        return f"postgresql+psycopg2://mlflow:{self.password}@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Make a cluster with initdb, serve it on a free port, and remove it."""
    if not psycopg2_is_here():
        pytest.skip("psycopg2 is not installed; `make test-servers` installs it")
    programs, user, password = binaries(), unprivileged(), secrets.token_hex(12)
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    who = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    try:
        (folder / "password").write_text(password, encoding="utf-8")
        log = folder / "log.txt"
        if user is not None:
            os.chown(folder, user, -1)
            os.chown(folder / "password", user, -1)
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "mlflow", "--auth=scram-sha-256", "--no-sync",
             f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--locale=C"],
            check=True, capture_output=True, cwd=folder, **who,
        )  # fmt: skip
        port = free_port()
        command = [
            str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder),
            "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
        ]  # fmt: skip
        with process(command, log, {}, cwd=folder, user=user) as started:
            made = Postgres(port, password)
            env = {**os.environ, "PGPASSWORD": password}
            ready = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-t", "30"]
            while subprocess.run(ready, capture_output=True, check=False).returncode != 0:
                assert started.poll() is None, log.read_text(errors="replace")
            for name in DATABASES:
                create = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", name]
                subprocess.run(create, check=True, capture_output=True, env=env)
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[dict[str, str]]:
    """Serve S3 with a bucket `models`; yields the environment that makes clients use it."""
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed; `make test-servers` installs it")
    pytest.importorskip("moto.server", reason="moto[server] is not installed; `make test-servers` installs it")
    port, log = free_port(), folder / "s3.log"
    with process([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], log, {}) as started:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/moto-api/", started, log)
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_bucket(Bucket="models")
        yield {**S3_ENV, "MLFLOW_S3_ENDPOINT_URL": url}


@contextlib.contextmanager
def guarded_server(folder: Path, backend: str, password: str, env: dict[str, str]) -> Iterator[str]:
    """MLflow with basic auth: user `admin` with `password`, everybody else may read."""
    pytest.importorskip("flask_wtf", reason="flask-wtf is not installed; `make test-servers` installs it")
    config = folder / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder / 'auth.db'}\n"
        f"admin_username = admin\nadmin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
        encoding="utf-8",
    )
    auth = {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16), **env}
    args = ("--app-name", "basic-auth", "--artifacts-destination", "s3://models/guarded")
    with mlflow_server(folder, backend, *args, env=auth) as url:
        yield url


def nobody_listens() -> int:
    """A port that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
