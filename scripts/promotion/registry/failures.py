"""What MLflow's exceptions and those of its transport mean, as one sentence that says what to do."""

import os
import re

from promotion.errors import FULL
from promotion.text.escape import without_secrets

# module -> package, of the stores of files that MLflow knows, where they differ
PACKAGES = {"botocore": "boto3", "google": "google-cloud-storage", "azure": "azure-storage-blob"}


def from_mlflow(error: Exception) -> bool:
    """Whether an exception is MLflow's or its transport's, and not a bug of ours."""
    names = {f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    known = {
        "mlflow.MlflowException",
        "promotion.Answered",  # rest.py's
        "requests.RequestException",
        "sqlalchemy.SQLAlchemyError",
        "sqlite3.Error",
        "json.JSONDecodeError",  # an answer that was cut off
        "google.ParseError",
        "boto3.S3UploadFailedError",
        "botocore.BotoCoreError",
        "botocore.ClientError",
    }
    # MLflow imports the library of a store of files when it asks there
    return bool(names & known) or isinstance(error, OSError | ModuleNotFoundError)


def failure(error: Exception, what: str, uri: str) -> str:
    """One sentence for an MLflow failure: what was tried, why it failed, what to do."""
    text = without_secrets(" ".join(str(error).split()))
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        package = PACKAGES.get(module, module)
        need = f"for which the package `{package}` is needed here; install it, then run this again"
        return f"MLflow at {uri} could not {what}, {need}"
    full = next((number for number in FULL if f"[Errno {number}]" in text), None)
    if full is not None:
        return f"could not {what}: {os.strerror(full)}; make room where the files are put, then run this again"
    code = getattr(error, "error_code", None)
    status = re.search(r"(?:error code |HTTP )(\d{3})", text)
    number = int(status[1]) if status else 0
    if number == 401 or "UNAUTHENTICATED" in text:
        return (
            f"MLflow at {uri} did not accept the credentials (could not {what}); "
            "check MLFLOW_TRACKING_USERNAME, _PASSWORD or _TOKEN"
        )
    if number == 403 or code == "PERMISSION_DENIED":
        return (
            f"MLflow at {uri} does not permit these credentials to {what}; this step needs a user with that permission"
        )
    if re.search(r"too many (\d+ )?error responses", text):
        status = re.search(r"too many (\d+) error", text)
        said = f"answered {status[1]} each time" if status else "answered with errors each time"
        return f"MLflow at {uri} {said} (could not {what}); look at the server, then run this again"
    if re.search(r"Max retries exceeded|Connection|timed out|refused|resolve", text, re.I):
        return (
            f"MLflow at {uri} cannot be reached (could not {what}); check MLFLOW_TRACKING_URI and that the server is up"
        )
    if type(error).__name__ in ("JSONDecodeError", "ParseError"):
        return (
            f"MLflow at {uri} answered with something that is not JSON (could not {what}); run this again; "
            "if that does not help, check MLFLOW_TRACKING_URI and any proxy in between"
        )
    return f"MLflow at {uri} could not {what}: {text[:300]}"
