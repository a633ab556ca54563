"""The part of MLflow's client that this project uses, over plain HTTP.

Importing MLflow takes seconds and a request to its server milliseconds, so a command that moves an alias would
mostly import. The names and answers are MlflowClient's; whatever is not here, an installation that authenticates
by a plugin, and files that the server does not hand out itself are left to MLflow.
"""

import functools
import math
import os
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from promotion.errors import PromotionError
from promotion.text.escape import without_secrets
from promotion.text.progress import Reached

TRANSIENT = (408, 429, 500, 502, 503, 504)
UNHEARD = (429, 503)  # those by which a server says that it did nothing
MADE = ("experiments", "runs", "registered-models", "model-versions")
CONNECTIONS = 16  # kept open to one server
CHUNK = 1 << 20
# What only MLflow knows how to do: other ways to authenticate, workspaces, uploads in parts.
OTHERS = (
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_WORKSPACE",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD",
)


class Answered(Exception):
    """The server refused, or said something that is no answer. error_code: MLflow's own, where it gave one."""

    def __init__(self, text: str, error_code: str | None = None) -> None:
        super().__init__(text)
        self.error_code = error_code


class Fields(dict[str, Any]):
    """An object of an answer: a field that it lacks is the server's fault."""

    def __missing__(self, name: str) -> Any:
        raise Answered(f"its answer lacks `{name}`; check MLFLOW_TRACKING_URI and any proxy in between")


class Metric(NamedTuple):
    """A figure of a run."""

    key: str
    value: float
    timestamp: int
    step: int


class Param(NamedTuple):
    """A parameter of a run."""

    key: str
    value: str


class Page(list[Any]):
    """Some of many; token: asks for the next page, None on the last."""

    token: str | None = None


def speaks_plain_http(uri: str) -> bool:
    """Whether this server can be asked without MLflow: HTTP, and a login in the environment or none."""
    try:
        scheme = urlsplit(uri).scheme
    except ValueError as error:
        raise PromotionError(f"MLFLOW_TRACKING_URI: {without_secrets(uri)} is not an address: {error}") from None
    if scheme not in ("http", "https"):
        return False
    if any(os.environ.get(name, "").lower() not in ("", "false", "0") for name in OTHERS):
        return False
    if Path("~/.mlflow/credentials").expanduser().exists():
        return False
    return not entry_points(group="mlflow.request_header_provider")


class Rest:
    """MLflow's server at `uri`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._roots: dict[str, str] = {}  # where a run keeps its files, which never changes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mlflow, name)  # what this class lacks

    @functools.cached_property
    def _mlflow(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @functools.cached_property
    def _session(self) -> requests.Session:
        session, setting = requests.Session(), os.environ.get
        most = int(_number("MAX_RETRIES", "4"))
        retry = Retry(
            total=most,
            connect=most,
            read=most,
            redirect=most,
            status=most,
            status_forcelist=TRANSIENT,
            allowed_methods=None,  # what sets a state too: setting it twice is setting it
            backoff_factor=_number("BACKOFF_FACTOR", "1"),
            backoff_jitter=_number("BACKOFF_JITTER", "1.0"),
            retry_after_max=math.ceil(_number("TIMEOUT", "30")),  # who wants an hour is told of as an error
        )
        # What makes something may have made it when the answer is lost: the next run finds it by its key.
        making = retry.new(read=0, status_forcelist=UNHEARD)
        roots = dict.fromkeys(("http://", "https://"), retry)
        roots |= {f"{self.uri}/api/2.0/mlflow/{kind}/create": making for kind in MADE}
        for root, tries in roots.items():
            session.mount(root, HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS, max_retries=tries))
        user, password, token = (setting(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD", "TOKEN"))
        if user and password:
            login = b64encode(f"{user}:{password}".encode()).decode()  # UTF-8, as MLflow sends them
            session.auth = functools.partial(_authorized, f"Basic {login}")
        elif token:
            session.auth = functools.partial(_authorized, f"Bearer {_sendable(token)}")
        session.verify = setting("MLFLOW_TRACKING_INSECURE_TLS", "").lower() not in ("true", "1") and (
            setting("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
        )
        session.cert = setting("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None
        return session

    def _ask(self, method: str, path: str, /, **more: Any) -> requests.Response:
        seconds = _number("TIMEOUT", "30")
        answer = self._session.request(method, f"{self.uri}/api/2.0/{path}", timeout=seconds, **more)
        if answer.status_code == 200:
            return answer
        try:
            said = answer.json()
            code, text = str(said["error_code"]), str(said.get("message", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            failed = f"API request to endpoint {path} failed with error code {answer.status_code} != 200"
            raise Answered(f"{failed}. Response body: '{answer.text[:1000]}'") from None
        raise Answered(f"{code}: {text}", code)

    def _call(self, method: str, endpoint: str, /, **fields: Any) -> dict[str, Any]:
        """Call one endpoint with the fields that are not None; return its JSON object."""
        given = {name: value for name, value in fields.items() if value is not None}
        answer = self._ask(method, f"mlflow/{endpoint}", **{"params" if method == "GET" else "json": given})
        found = answer.json(object_hook=Fields)
        if not isinstance(found, dict):
            raise Answered(f"{endpoint} answered with JSON that is no object")
        return found

    # Registered models and versions

    def search_registered_models(self, max_results: int, page_token: str | None = None) -> Page:
        """One page of the registered models; prompts are none."""
        only = "tag.`mlflow.prompt.is_prompt` != 'true'"
        found = self._call(
            "GET", "registered-models/search", filter=only, max_results=max_results, page_token=page_token or None
        )
        return _page(found, "registered_models", _model)

    def get_registered_model(self, name: str) -> SimpleNamespace:
        """One registered model."""
        return _model(self._call("GET", "registered-models/get", name=name)["registered_model"])

    def create_registered_model(self, name: str) -> None:
        """Register a name."""
        self._call("POST", "registered-models/create", name=name)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._call("POST", "registered-models/alias", name=name, alias=alias, version=version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias."""
        self._call("DELETE", "registered-models/alias", name=name, alias=alias)

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        """Set a tag of a registered model."""
        self._call("POST", "registered-models/set-tag", name=name, key=key, value=value)

    def get_model_version(self, name: str, version: str) -> SimpleNamespace:
        """One version."""
        return _version(self._call("GET", "model-versions/get", name=name, version=version)["model_version"])

    def search_model_versions(self, filter_string: str, max_results: int, page_token: str | None = None) -> Page:
        """One page of versions."""
        found = self._call(
            "GET", "model-versions/search", filter=filter_string, max_results=max_results, page_token=page_token or None
        )
        return _page(found, "model_versions", _version)

    def create_model_version(self, name: str, source: str, run_id: str, tags: dict[str, str]) -> SimpleNamespace:
        """Register files as a new version."""
        found = self._call("POST", "model-versions/create", name=name, source=source, run_id=run_id, tags=_pairs(tags))
        return _version(found["model_version"])

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._call("POST", "model-versions/set-tag", name=name, version=version, key=key, value=value)

    def update_model_version(self, name: str, version: str, description: str) -> None:
        """Write a version's description."""
        self._call("PATCH", "model-versions/update", name=name, version=version, description=description)

    # Runs

    def search_experiments(self, *, max_results: int, page_token: str | None = None) -> Page:
        """One page of the experiments."""
        found = self._call("POST", "experiments/search", max_results=max_results, page_token=page_token or None)
        return _page(found, "experiments", lambda item: SimpleNamespace(**item))

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        """An experiment, or None."""
        try:
            return SimpleNamespace(**self._call("GET", "experiments/get-by-name", experiment_name=name)["experiment"])
        except Answered as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def create_experiment(self, name: str, artifact_location: str | None = None) -> str:
        """Make an experiment; return its id."""
        return str(
            self._call("POST", "experiments/create", name=name, artifact_location=artifact_location)["experiment_id"]
        )

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        *,
        max_results: int,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> Page:
        """One page of runs."""
        found = self._call(
            "POST",
            "runs/search",
            experiment_ids=list(experiment_ids),
            filter=filter_string,
            max_results=max_results,
            order_by=None if order_by is None else list(order_by),
            page_token=page_token or None,
        )
        return _page(found, "runs", _run)

    def create_run(self, experiment_id: str, *, run_name: str, tags: dict[str, str]) -> SimpleNamespace:
        """Start a run."""
        found = self._call(
            "POST",
            "runs/create",
            experiment_id=experiment_id,
            run_name=run_name,
            start_time=_milliseconds(),
            tags=_pairs(tags),
        )
        return _run(found["run"])

    def log_batch(self, run_id: str, metrics: Sequence[Metric] = (), params: Sequence[Param] = ()) -> None:
        """Log figures and parameters of a run."""
        self._call(
            "POST",
            "runs/log-batch",
            run_id=run_id,
            metrics=[metric._asdict() for metric in metrics],
            params=[param._asdict() for param in params],
        )

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag of a run."""
        self._call("POST", "runs/set-tag", run_id=run_id, key=key, value=value)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Take a tag off a run."""
        self._call("POST", "runs/delete-tag", run_id=run_id, key=key)

    def set_terminated(self, run_id: str, status: str) -> None:
        """End a run."""
        self._call("POST", "runs/update", run_id=run_id, status=status, end_time=_milliseconds())

    # Files

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[SimpleNamespace]:
        """The files and folders right below a run's `path`."""
        found = self._call("GET", "artifacts/list", run_id=run_id, path=path)
        self._roots[run_id] = str(found["root_uri"])
        return [SimpleNamespace(path=one["path"], is_dir=bool(one["is_dir"])) for one in found.get("files") or []]

    def log_artifact(self, run_id: str, path: str, folder: str) -> None:
        """Store a file below a run's `folder`."""
        root = self.place(f"runs:/{run_id}/")
        if root is None:
            self._mlflow.log_artifact(run_id, path, folder)
        else:
            self._upload(Path(path), "/".join(filter(None, (root, folder, Path(path).name))))

    def log_artifacts(self, run_id: str, path: str, folder: str) -> None:
        """Store all files of a folder below a run's `folder`."""
        root = self.place(f"runs:/{run_id}/")
        if root is None:
            self._mlflow.log_artifacts(run_id, path, folder)
            return
        for file in sorted(one for one in Path(path).rglob("*") if one.is_file()):
            self._upload(file, f"{root}/{folder}/{file.relative_to(path).as_posix()}")

    def _upload(self, file: Path, place: str) -> None:
        with file.open("rb") as data:
            self._ask("PUT", f"mlflow-artifacts/artifacts/{quote(place)}", data=data)

    def place(self, uri: str) -> str | None:
        """Where the server itself hands out the files at `uri`; None where they are elsewhere, as in S3."""
        if uri.startswith("runs:/"):
            run_id, _, path = uri.removeprefix("runs:/").partition("/")
            if run_id not in self._roots:
                self._roots[run_id] = str(self._call("GET", "runs/get", run_id=run_id)["run"]["info"]["artifact_uri"])
            uri = f"{self._roots[run_id]}/{path}"
        scheme, slash, path = uri.partition(":/")
        return path.strip("/") if scheme == "mlflow-artifacts" and slash and not path.startswith("/") else None

    def download(self, place: str, folder: Path, *, is_dir: bool, reached: Reached | None = None) -> Path:
        """Download the file or folder at a `place` into `folder`; return where it is.

        reached: called with (bytes here, bytes of all files as the server lists them) while a folder comes.
        """
        target = folder / PurePosixPath(place).name
        if not is_dir:
            for _ in self._save(place, target):
                pass
            return target
        files = list(self._below(place))
        if not files:
            raise Answered(f"there are no files at {place}", "RESOURCE_DOES_NOT_EXIST")
        done, total = 0, sum(size for _, size in files)
        for path, _ in files:
            for size in self._save(f"{place}/{path}", target / path):
                done += size
                if reached is not None:
                    reached(done, max(done, total))
        return target

    def _below(self, place: str) -> Iterator[tuple[PurePosixPath, int]]:
        """Every file below a folder, relative to it, and its size in bytes; 0 where the server does not say."""
        answer = self._ask("GET", "mlflow-artifacts/artifacts", params={"path": place})
        for item in answer.json(object_hook=Fields).get("files") or []:
            path = PurePosixPath(item["path"])
            if path.is_absolute() or len(path.parts) != 1 or set("\\:\0") & set(item["path"]) or path.name == "..":
                raise Answered(f"the server lists a file by the name {item['path']!r}, which is none")
            if item["is_dir"]:
                yield from ((path / below, size) for below, size in self._below(f"{place}/{path}"))
            else:
                yield path, int(item.get("file_size") or 0)

    def _save(self, place: str, target: Path) -> Iterator[int]:
        """Download a file; yield the size of each part of it that has come."""
        target.parent.mkdir(parents=True, exist_ok=True)
        answer = self._ask("GET", f"mlflow-artifacts/artifacts/{quote(place)}", stream=True)
        with answer, target.open("wb") as file:
            for chunk in answer.iter_content(CHUNK):
                yield file.write(chunk)


def _number(what: str, default: str) -> float:
    """MLflow's setting of its requests; raise PromotionError for what they cannot be made with."""
    name = f"MLFLOW_HTTP_REQUEST_{what}"
    text = os.environ.get(name) or default
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or found < 0 or (what == "TIMEOUT" and found == 0):
        raise PromotionError(f"{name}: `{text}` is not a number that it can be; leave it out for {default}")
    return found


def _sendable(token: str) -> str:
    """A token as a header takes it: without the line's end that was pasted with it; never shown where it is none."""
    found = token.strip()
    if not found.isascii() or not found.isprintable() or " " in found:
        raise PromotionError(
            "MLFLOW_TRACKING_TOKEN contains what no token does (blanks, control characters); set it again"
        )
    return found


def _authorized(login: str, request: requests.PreparedRequest) -> requests.PreparedRequest:
    request.headers["Authorization"] = login
    return request


def _page(found: dict[str, Any], name: str, kind: Callable[[dict[str, Any]], SimpleNamespace]) -> Page:
    page = Page(map(kind, found.get(name) or []))
    page.token = found.get("next_page_token") or None
    return page


def _tags(item: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in item.get("tags") or []}


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _model(item: dict[str, Any]) -> SimpleNamespace:
    aliases = {alias["alias"]: alias["version"] for alias in item.get("aliases") or []}
    newest = [_version(version) for version in item.get("latest_versions") or []]
    return SimpleNamespace(name=item["name"], aliases=aliases, tags=_tags(item), latest_versions=newest)


def _version(item: dict[str, Any]) -> SimpleNamespace:
    names = ("name", "version", "status", "source", "description")
    return SimpleNamespace(
        **{name: item.get(name) for name in names}, run_id=item.get("run_id") or None, tags=_tags(item)
    )


def _run(item: dict[str, Any]) -> SimpleNamespace:
    info = item["info"]
    return SimpleNamespace(
        info=SimpleNamespace(
            run_id=info["run_id"],
            experiment_id=info["experiment_id"],
            start_time=int(info.get("start_time") or 0),
            artifact_uri=info.get("artifact_uri"),
        ),
        data=SimpleNamespace(tags=_tags(item.get("data") or {})),
    )


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
