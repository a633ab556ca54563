"""The JSON schemas that editors complete and check by, made from the sections: `python -m promotion.config.schema`.

Run in scripts/; it writes .github/promotion.schema.json and .github/model.schema.json.
"""

import json
from pathlib import Path

from pydantic import BaseModel

from promotion.config.model_yaml import ModelYaml
from promotion.config.promotion_yaml import Promotion
from promotion.config.sections import editor_schema

FOLDER = Path(__file__).resolve().parents[3] / ".github"
FILES: dict[str, tuple[str, type[BaseModel]]] = {
    "promotion.schema.json": ("promotion.yaml", Promotion),
    "model.schema.json": ("model.yaml", ModelYaml),
}


def schema_text(title: str, model: type[BaseModel]) -> str:
    """The text of one schema file."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return json.dumps({**head, **editor_schema(model)}, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the files."""
    for name, (title, model) in FILES.items():
        (FOLDER / name).write_text(schema_text(title, model), encoding="utf-8")
        print(FOLDER / name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
