"""The judgement: pure apart from reading Parquet; no model, no network."""
