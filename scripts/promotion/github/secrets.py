"""The workflows, and which secrets and variables they read, by the environment of the job that reads them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from promotion.errors import PromotionError

WORKFLOWS = ("retrain.yml", "promote.yml", "drift.yml", "watch.yml", "schedule.yml", "ci.yml")
URI = "MLFLOW_TRACKING_URI"
# any one of these sets is a whole login
LOGINS = (
    ("MLFLOW_TRACKING_TOKEN",),
    ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    ("DATABRICKS_HOST", "DATABRICKS_TOKEN"),
)
USE = re.compile(r"\b(secrets|vars)\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True)
class Names:
    """Names of secrets and of variables."""

    secrets: frozenset[str]
    variables: frozenset[str]

    def __or__(self, other: "Names") -> "Names":
        """Both together."""
        return Names(self.secrets | other.secrets, self.variables | other.variables)

    @property
    def all(self) -> frozenset[str]:
        """Secrets and variables alike: where a value stands is the owner's choice."""
        return self.secrets | self.variables


NOTHING = Names(frozenset(), frozenset())


def read_names(folder: Path) -> dict[str | None, Names]:
    """Return what the workflows of a folder read, by environment name; None stands for jobs without one.

    A job that reads no secret needs nothing of its environment: what it reads may be set for the repository.
    """
    found: dict[str | None, Names] = {}
    for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")]):
        try:
            workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            raise PromotionError("not valid YAML; `actionlint` says where", file=path) from None
        if not isinstance(workflow, dict):
            raise PromotionError("not a workflow: it has no `jobs:`", file=path)
        everywhere = _uses({key: value for key, value in workflow.items() if key != "jobs"})
        jobs = workflow.get("jobs")
        for job in (jobs if isinstance(jobs, dict) else {}).values():
            environment = job.get("environment") if isinstance(job, dict) else None
            name = environment.get("name") if isinstance(environment, dict) else environment
            uses = _uses(job) | everywhere
            name = name if isinstance(name, str) and "${{" not in name and uses.secrets else None
            found[name] = found.get(name, NOTHING) | uses
    return {name: names for name, names in found.items() if names.all}


def lacking(wanted: Names, there: Names) -> tuple[list[str], list[str]]:
    """Return what must be set and is not (as phrases), and what is read, not set, and can stay so."""
    missing: list[str] = []
    if URI in wanted.all and URI not in there.all:
        missing.append(URI)
    logins = [login for login in LOGINS if set(login) <= wanted.all]
    if logins and not any(set(login) <= there.all for login in logins):
        missing.append(" or ".join(" with ".join(login) for login in logins))
    in_logins = {name for login in LOGINS for name in login}
    optional = sorted(wanted.all - there.all - in_logins - {URI})
    return missing, optional


def _uses(node: Any) -> Names:
    """The names in every text below a YAML node."""
    secrets: set[str] = set()
    variables: set[str] = set()
    texts = [node]
    while texts:
        item = texts.pop()
        if isinstance(item, dict):
            texts += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            texts += item
        elif isinstance(item, str):
            for kind, name in USE.findall(item):
                (secrets if kind == "secrets" else variables).add(name.upper())
    return Names(frozenset(secrets - {"GITHUB_TOKEN"}), frozenset(variables))
