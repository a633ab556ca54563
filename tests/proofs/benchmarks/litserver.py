"""A model behind LitServe, as its documentation shows it: batches of up to 64 that wait 2 ms, one worker a core.

`python tests/proofs/benchmarks/litserver.py MODEL_FOLDER PORT`
"""

import os
import sys
from typing import Any

import litserve
import mlflow.pyfunc
import numpy as np
import pandas as pd


class Model(litserve.LitAPI):
    """The saved model, asked with MLflow's `dataframe_split`."""

    def __init__(self, folder: str) -> None:
        super().__init__(max_batch_size=64, batch_timeout=0.002, api_path="/invocations")
        self.folder = folder

    def setup(self, device: Any) -> None:
        """Load."""
        self.model = mlflow.pyfunc.load_model(self.folder)

    def decode_request(self, request: dict[str, Any]) -> pd.DataFrame:
        """A frame of one request's rows."""
        table = request["dataframe_split"]
        return pd.DataFrame(table["data"], columns=table["columns"])

    def batch(self, inputs: list[pd.DataFrame]) -> tuple[pd.DataFrame, list[int]]:
        """The rows of all, and how many each has."""
        return pd.concat(inputs, ignore_index=True), [len(one) for one in inputs]

    def predict(self, together: tuple[pd.DataFrame, list[int]]) -> list[np.ndarray]:
        """Each request's answers."""
        rows, counts = together
        return np.split(np.asarray(self.model.predict(rows)), np.cumsum(counts)[:-1])

    def unbatch(self, output: list[np.ndarray]) -> list[np.ndarray]:
        """They are apart already."""
        return output

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """As MLflow says it."""
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Model(sys.argv[1]), accelerator="cpu", workers_per_device=os.cpu_count() or 1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
