"""The only module that talks to MLflow: runs, versions, aliases, tags, and the files behind them."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from promotion.errors import PromotionError
from promotion.records.files import digest_files
from promotion.registry import rest
from promotion.registry.at_once import meanwhile
from promotion.registry.failures import failure, from_mlflow
from promotion.registry.nothing import NOTHING
from promotion.registry.rest import Rest, speaks_plain_http
from promotion.text.escape import without_secrets
from promotion.text.progress import Reached

DEFAULT_URI = "sqlite:///mlflow.db"
CHAMPION = "champion"
CANDIDATE = "candidate"
PREFIX = "promotion."
AT_ONCE = 8
R = TypeVar("R")

# MLflow's own defaults retry a dead server for minutes; a verb should say so within seconds.
HTTP_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "1.0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "true" if sys.stderr and sys.stderr.isatty() else "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Version(NamedTuple):
    """A registered model version. source: where its files are. tags: without our prefix. description: Markdown."""

    model: str
    version: int
    ready: bool
    run_id: str | None
    source: str
    tags: dict[str, str]
    description: str = ""


class Run(NamedTuple):
    """A run of the experiment tracker. tags: ours only, without the prefix."""

    run_id: str
    tags: dict[str, str]
    started_ms: int
    artifact_uri: str


class RegisteredModel(NamedTuple):
    """A registered model's aliases (name -> version) and all of its tags.

    latest: those of its newest versions that came along with their tags, by number; to ask for them again is in vain.
    """

    name: str
    aliases: dict[str, int]
    tags: dict[str, str]
    latest: dict[int, Version]


def tracking_uri() -> str:
    """The MLflow server in force: MLFLOW_TRACKING_URI, or SQLite in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


class Registry:
    """MLflow at `uri`; every failure to reach or use it is a PromotionError of one sentence."""

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri or tracking_uri()
        self._client: Any = None

    def __repr__(self) -> str:
        return f"Registry({without_secrets(self.uri)})"

    @property
    def where(self) -> str:
        """The server or file that is read, as messages name it."""
        unset = self.uri == DEFAULT_URI and not os.environ.get("MLFLOW_TRACKING_URI")
        odd = ["MLFLOW_TRACKING_URI is not set"] if unset else []
        odd += ["there is no such file"] if self.absent else []
        return f"the registry {without_secrets(self.uri)}" + (f" ({', and '.join(odd)})" if odd else "")

    @property
    def absent(self) -> bool:
        """Whether it is a database file that nothing has made yet."""
        file = self.uri.removeprefix("sqlite:///").partition("?")[0]
        return self.uri.startswith("sqlite:///") and file not in ("", ":memory:") and not Path(file).exists()

    def lacks(self, name: str, version: int, todo: str) -> str:
        """Say that a pinned version is not here; `todo` is advised only where the model itself is known here."""
        if self.model(name) is None:
            return (
                f"{self.where} has no model {name}, so version {version} is not there; "
                "set MLFLOW_TRACKING_URI to the server that holds it"
            )
        return f"version {version} of {name} does not exist in {self.where}; {todo}"

    @property
    def client(self) -> Any:
        """MLflow's client, or its part that needs no MLflow (see rest.py), made on first use."""
        return NOTHING if self._client is None and self.absent else self._made()

    def _made(self) -> Any:
        """The same, and MLflow makes the file of a database that is not there."""
        if self._client is None:
            for name, value in HTTP_DEFAULTS.items():
                os.environ.setdefault(name, value)
            for name in ("mlflow", "alembic"):
                logging.getLogger(name).setLevel(logging.WARNING)
            with self._talking("open"):
                if speaks_plain_http(self.uri):
                    self._client = Rest(self.uri)
                else:
                    from mlflow import MlflowClient

                    self._client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        return self._client

    @property
    def at_once(self) -> int:
        """How many models may be asked about at a time: a database file takes one, a server some."""
        return AT_ONCE if self.uri.startswith("http") and isinstance(self.client, Rest) else 1

    @contextlib.contextmanager
    def _talking(self, what: str) -> Iterator[None]:
        try:
            yield
        except PromotionError:
            raise
        except Exception as error:
            if not from_mlflow(error):
                raise
            raise PromotionError(failure(error, what, without_secrets(self.uri))) from None

    def _found(self, what: str, call: Any, *args: Any) -> Any:
        """Return call(*args), or None when MLflow says that the thing does not exist."""
        with self._talking(what):
            try:
                return call(*args)
            except Exception as error:
                if getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST":
                    return None
                missing_alias = getattr(error, "error_code", None) == "INVALID_PARAMETER_VALUE" and "alias" in str(
                    error
                )
                if missing_alias and "not found" in str(error):
                    return None
                raise

    # Registered models, aliases, ledger tags

    def models(self) -> dict[str, RegisteredModel]:
        """Return every registered model with its aliases and tags, 1,000 to a request."""
        found: dict[str, RegisteredModel] = {}
        with self._talking("list the registered models"):
            for item in _pages(self.client.search_registered_models, max_results=1000):
                found[item.name] = _model(item)
        return found

    def beside(self, asking: Callable[[], R]) -> Callable[[], R]:
        """Begin to ask a server beside what comes next; return what waits for the answer. A database is asked then."""
        return meanwhile(asking) if self.at_once > 1 else asking

    def model(self, name: str) -> RegisteredModel | None:
        """Return one registered model, or None."""
        item = self._found(f"read the registered model {name}", self.client.get_registered_model, name)
        return None if item is None else _model(item)

    def registered(self, name: str) -> RegisteredModel:
        """Return one registered model; where there is none, PromotionError says where it looked."""
        found = self.model(name)
        if found is None:
            raise PromotionError(f"{self.where} has no model {name}; `promote.py plan` lists those of promotion.yaml")
        return found

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point `name`@`alias` at `version`."""
        with self._talking(f"set {name}@{alias}"):
            self.client.set_registered_model_alias(name, alias, str(version))

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; one that is not there is fine."""
        with self._talking(f"delete {name}@{alias}"):
            self.client.delete_registered_model_alias(name, alias)

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Set a tag of a registered model, under the full key."""
        with self._talking(f"tag {name}"):
            try:
                self.client.set_registered_model_tag(name, key, value)
            except Exception as error:
                if not (from_mlflow(error) and "IntegrityError" in str(error)):
                    raise
                # the server looks whether there is such a tag, then inserts it; another promoter was quicker in between
                self.client.set_registered_model_tag(name, key, value)

    # Versions

    def version(self, name: str, version: int) -> Version | None:
        """Return one version, or None where there is none."""
        what = f"read {name} version {version}"
        item = self._found(what, self.client.get_model_version, name, str(version))
        return None if item is None else _version(item)

    def version_of_run(self, name: str, run_id: str) -> Version | None:
        """Return the version that was registered from a run, the oldest if there are several."""
        with self._talking(f"search the versions of {name}"):
            items = self.client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'", max_results=100)
        versions = sorted((_version(item) for item in items), key=lambda v: v.version)
        return versions[0] if versions else None

    def register(self, name: str, run: Run, tags: dict[str, str]) -> Version:
        """Register the run's `model` artifact as a new version with `tags`, and wait for nothing."""
        with self._talking(f"register a version of {name}"):
            if self.model(name) is None:
                self.client.create_registered_model(name)
            item = self.client.create_model_version(
                name,
                f"{run.artifact_uri}/model",
                run_id=run.run_id,
                tags={PREFIX + key: value for key, value in tags.items()},
            )
        return _version(item)

    def tag_version(self, name: str, version: int, tags: dict[str, str]) -> None:
        """Set our tags on a version."""
        with self._talking(f"tag {name} version {version}"):
            for key, value in tags.items():
                self.client.set_model_version_tag(name, str(version), PREFIX + key, value)

    def describe_version(self, name: str, version: int, text: str) -> None:
        """Write a version's description, which MLflow's pages show as Markdown."""
        with self._talking(f"describe {name} version {version}"):
            self.client.update_model_version(name, str(version), text)

    # Runs

    def experiment(self, model: str) -> str:
        """Return the id of the model's experiment, made when it is not there."""
        with self._talking(f"open the experiment {model}"):
            found = self.client.get_experiment_by_name(model)
            if found is not None:
                return str(found.experiment_id)
            return str(self._made().create_experiment(model, artifact_location=self._artifacts(model)))

    def _artifacts(self, model: str) -> str | None:
        """Beside the SQLite file for the embedded default, else wherever the server keeps artifacts."""
        if not self.uri.startswith("sqlite:///"):
            return None
        return (Path(self.uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts" / model).as_uri()

    def runs(self, model: str, **tags: str) -> list[Run]:
        """Return the model's runs that carry all of `tags` (ours), oldest first."""
        with self._talking(f"search the runs of {model}"):
            experiment = self.client.get_experiment_by_name(model)
            if experiment is None:
                return []
            query = " and ".join(f"tags.`{PREFIX}{key}` = '{value}'" for key, value in tags.items())
            pages = _pages(self.client.search_runs, [experiment.experiment_id], query, max_results=1000)
            return sorted((_run(item) for item in pages), key=lambda run: (run.started_ms, run.run_id))

    def runs_of(self, models: Collection[str]) -> dict[str, list[Run]]:
        """Return the judged runs of many models, each model's oldest first, in as many requests as of one: by pages."""
        with self._talking("search the runs of all models"):
            names = {}
            for item in _pages(self.client.search_experiments, max_results=1000):
                if item.name in models:
                    names[item.experiment_id] = item.name
            found: dict[str, list[Run]] = {name: [] for name in models}
            if names:
                query = f"tags.`{PREFIX}gate` LIKE '%'"
                for item in _pages(self.client.search_runs, list(names), query, max_results=10_000):
                    found[names[item.info.experiment_id]].append(_run(item))
        return {name: sorted(runs, key=lambda run: (run.started_ms, run.run_id)) for name, runs in found.items()}

    def create_run(self, model: str, name: str, tags: dict[str, str]) -> Run:
        """Start a run in the model's experiment."""
        experiment = self.experiment(model)
        with self._talking(f"create a run of {model}"):
            item = self.client.create_run(
                experiment, run_name=name, tags={PREFIX + key: value for key, value in tags.items()}
            )
        return _run(item)

    def log_run(self, run_id: str, params: dict[str, str], metrics: dict[str, float]) -> None:
        """Log parameters and metrics of a run in batches that MLflow accepts."""
        kinds: tuple[Any, Any] = (rest.Metric, rest.Param)
        if not isinstance(self.client, Rest):
            from mlflow.entities import Metric, Param

            kinds = Metric, Param
        now = 0  # the figures belong to the run, not to a moment of it
        with self._talking("log the run"):
            rows = [kinds[0](key, value, now, 0) for key, value in metrics.items()]
            for start in range(0, len(rows), 900):
                self.client.log_batch(run_id, metrics=rows[start : start + 900])
            pairs = [kinds[1](key, value[:5900]) for key, value in params.items()]
            for start in range(0, len(pairs), 90):
                self.client.log_batch(run_id, params=pairs[start : start + 90])

    def log_files(self, run_id: str, path: Path, folder: str) -> None:
        """Store a file, or all files of a folder, below `folder` of a run's artifacts."""
        with self._talking("store the run's files"):
            if path.is_dir():
                self.client.log_artifacts(run_id, str(path), folder)
            else:
                self.client.log_artifact(run_id, str(path), folder)

    def tag_run(self, run_id: str, tags: dict[str, str]) -> None:
        """Set our tags on a run."""
        with self._talking("tag the run"):
            for key, value in tags.items():
                self.client.set_tag(run_id, PREFIX + key, value)

    def finish_run(self, run_id: str) -> None:
        """Mark a run as finished."""
        with self._talking("finish the run"):
            self.client.set_terminated(run_id, "FINISHED")

    def give_up(self, run_id: str, tag: str) -> None:
        """Take one of our tags off a run that was cut off, and mark it as killed."""
        with self._talking("give up a run"):
            self.client.delete_tag(run_id, PREFIX + tag)
            self.client.set_terminated(run_id, "KILLED")

    # Files

    def fetch(self, run_id: str, path: str, folder: Path, reached: Reached | None = None) -> Path | None:
        """Download one artifact path of a run into `folder`; return where it is, or None if there is none.

        reached: called with (bytes here, all bytes) on the way, where a server hands the files out.
        """
        with self._talking(f"download {path}"):
            parent, _, name = path.rpartition("/")
            listed = self._found(f"list {path}", self.client.list_artifacts, run_id, parent or None) or []
            for item in listed:
                if Path(item.path).name == name:
                    return self._download(f"runs:/{run_id}/{path}", folder, reached, is_dir=item.is_dir)
            return None

    def fetch_logged(self, run_id: str, name: str, folder: Path) -> Path | None:
        """Download the model that a run of whatever system logged under `name`, as a model or as artifacts of the run.

        Return None where there is no such run, or nothing of that name.
        """
        if self.client is NOTHING:
            return None
        from mlflow import artifacts

        place = {"artifact_uri": f"runs:/{run_id}/{name}", "tracking_uri": self.uri}
        with self._talking(f"download {name} of run {run_id}"):
            if not self._found(f"list {name}", lambda: artifacts.list_artifacts(**place)):
                return None
            folder.mkdir(parents=True, exist_ok=True)
            return Path(artifacts.download_artifacts(dst_path=str(folder), **place))

    def fetch_version(self, version: Version, folder: Path, reached: Reached | None = None) -> tuple[Path, str]:
        """Download a version's files; return their folder and their digest. reached: as in fetch."""
        with self._talking(f"download {version.model} version {version.version}"):
            path = self._download(version.source, folder, reached, is_dir=True)
        return path, digest_files(path)

    def _download(self, uri: str, folder: Path, reached: Reached | None, *, is_dir: bool) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(self.client, Rest):
            place = self.client.place(uri)
            if place is not None:
                return self.client.download(place, folder, is_dir=is_dir, reached=reached)
        from mlflow import artifacts  # in a terminal it draws a bar of its own

        return Path(artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self.uri))


def _pages(search: Any, *args: Any, **more: Any) -> Iterator[Any]:
    """Every item of a search, page by page."""
    token = None
    while True:
        page = search(*args, page_token=token, **more)
        yield from page
        token = page.token
        if not token:
            return


def _ours(tags: Any) -> dict[str, str]:
    return {key.removeprefix(PREFIX): value for key, value in dict(tags).items() if key.startswith(PREFIX)}


def _model(item: Any) -> RegisteredModel:
    aliases = {alias: int(version) for alias, version in dict(item.aliases).items()}
    newest = map(_version, item.latest_versions or ())
    return RegisteredModel(item.name, aliases, dict(item.tags), {one.version: one for one in newest if one.tags})


def _version(item: Any) -> Version:
    ready, said = item.status == "READY", item.description or ""
    return Version(item.name, int(item.version), ready, item.run_id, item.source, _ours(item.tags), said)


def _run(item: Any) -> Run:
    return Run(item.info.run_id, _ours(item.data.tags), item.info.start_time or 0, item.info.artifact_uri)
