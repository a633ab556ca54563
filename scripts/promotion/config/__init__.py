"""promotion.yaml and model.yaml: one schema, one loader, one editor."""

FILE = "promotion.yaml"
