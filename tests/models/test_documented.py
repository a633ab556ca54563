"""models/README.md: its model is taken from the page and becomes champion, and it explains every key there is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from promotion.config import promotion_yaml
from promotion.judgement.metrics import BUILT_IN, NOT_SUMS

from tests.support.tiny import TinyProject

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "models" / "README.md").read_text(encoding="utf-8")
FRONT = (PROJECT / "README.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"```yaml\n((?:#[^\n]*\n)?models:\n.*?)```", PAGE + FRONT, re.DOTALL)


def keys(schema: Any) -> set[str]:
    """Every key that a JSON schema gives a name to."""
    if isinstance(schema, list):
        return set().union(*map(keys, schema))
    if not isinstance(schema, dict):
        return set()
    return set(schema.get("properties", {})) | set().union(*map(keys, schema.values()))


@pytest.mark.slow
def test_the_model_of_the_page_becomes_champion(tmp_path: Path) -> None:
    """The page's three files and its entry, copied as they stand: judged FIRST, merged, promoted."""
    folder = tmp_path / "churn"
    folder.mkdir()
    for name, text in re.findall(r"`models/churn/([\w.]+)`.*?```\w+\n(.*?)```", PAGE, re.DOTALL):
        (folder / name).write_text(text, encoding="utf-8")
    project = TinyProject(tmp_path / "project", "churn", folder, next(text for text in POLICIES if "churn:" in text))
    project.edit("model.yaml", "seed: 0", "seed: 1")

    judged = project.judge(project.open("first"))
    project.merge(judged.request)

    assert judged.evaluation is not None
    assert judged.evaluation.verdict == "FIRST", judged.evaluation.headline
    assert project.promote()
    assert project.champion() == 1


@pytest.mark.parametrize("text", POLICIES, ids=lambda text: re.findall(r"^  (\S+):", text, re.MULTILINE)[0])
def test_every_promotion_yaml_that_is_shown_is_read(text: str) -> None:
    """The documents' entries are what the loader takes; `…` stands for the rest of a digest."""
    whole = re.sub(r"sha256:[0-9a-f]*…", "sha256:" + "0" * 64, text)

    assert len(promotion_yaml.parse(whole).models) == 1


def test_the_front_page_shows_the_same_smallest_entry() -> None:
    """README.md's smallest promotion.yaml is the one of the page, and no longer than six lines."""
    smallest = [text for text in POLICIES if "churn:" in text]

    assert len(smallest) == 2
    assert smallest[0] == smallest[1]
    assert len(smallest[0].splitlines()) <= 6


@pytest.mark.parametrize("name", ["promotion", "model"])
def test_every_key_is_explained(name: str) -> None:
    """Whatever the schema of promotion.yaml or model.yaml lets one write, the page has a word about."""
    schema = json.loads((PROJECT / ".github" / f"{name}.schema.json").read_text(encoding="utf-8"))
    shown = set(re.findall(r"[a-z_]+", "\n".join(re.findall(r"`[^`\n]+`|```.*?```", PAGE, re.DOTALL))))

    assert keys(schema) - shown == set()


def test_every_metric_is_named() -> None:
    """The page names each metric that the judgement knows."""
    assert {name for name in (*BUILT_IN, *NOT_SUMS, "net_benefit") if f"`{name}`" not in PAGE} == set()
