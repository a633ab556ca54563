"""MLflow: the client, the ledger, the evidence, the looks."""
