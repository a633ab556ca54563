"""The running server and a client that never stops asking it: what users of the model see during a promotion."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests

from promotion.errors import PromotionError

START_SECONDS = 90
BATCH = 1000  # rows in a request of the replay
PAUSE_SECONDS = 0.05  # a steady stream that leaves the processor to the training


class Server:
    """`serve.py MODEL` as a process of its own; it starts at once, and `ready` waits for it. python: what runs it."""

    def __init__(
        self,
        scripts: Path,
        model: str,
        env: dict[str, str],
        log: Path,
        *,
        options: Sequence[str] = (),
        python: str = sys.executable,
    ) -> None:
        self.log = log.open("w", encoding="utf-8")
        self.url = ""  # once it is ready
        self.process = subprocess.Popen(
            [
                *(python, str(scripts / "serve.py"), model, "--port", "0", "--poll-seconds", "0.5"),
                *("--store", str(log.parent / "served"), *options),
            ],
            env=env,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def ready(self) -> str:
        """Wait until it serves; return its own line about that."""
        timer = threading.Timer(START_SECONDS, self.process.kill)
        timer.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        timer.cancel()
        if not line.startswith("serving "):
            raise PromotionError(f"the server did not start; its log is {self.log.name}")
        self.url = next(word for word in line.split() if word.startswith("http")).rstrip(",")
        return line.strip()

    def health(self) -> dict[str, Any]:
        """What /health says."""
        answer: dict[str, Any] = requests.get(f"{self.url}/health", timeout=30).json()
        return answer

    def wait(self, there: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Ask /health until it says what is waited for."""
        end = time.monotonic() + START_SECONDS
        while not there(self.health()):
            if time.monotonic() > end:
                raise PromotionError(f"{what}: not within {START_SECONDS} s; the server's log is {self.log.name}")
            time.sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        """Ask the server to finish its requests and end."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def replay(url: str, rows: Path, labels: Path) -> int:
    """Send a look's rows to the server, BATCH in a request, each with a key; write their labels; return their number.

    rows: what score.py left of one side: `features`, and `table` with their labels and columns, a part a day.
    """
    import pandas as pd

    session, known = requests.Session(), []
    for part in sorted((rows / "features").iterdir()):
        inputs, table = pd.read_parquet(part), pd.read_parquet(rows / "table" / part.name)
        own = table.drop(columns=[name for name in table if name.startswith("key.")])
        for start in range(0, len(inputs), BATCH):
            asked = inputs.iloc[start : start + BATCH]
            key = f"{part.stem}-{start}"
            answer = session.post(
                f"{url}/invocations",
                data=f'{{"dataframe_split": {asked.to_json(orient="split")}}}',
                headers={"Content-Type": "application/json", "X-Request-Id": key},
                timeout=30,
            )
            answer.raise_for_status()
            place = {"key.request": key, "key.row": range(len(asked))}
            known.append(own.iloc[start : start + BATCH].assign(**place))
    pd.concat(known).to_parquet(labels, index=False)
    return sum(len(some) for some in known)


def rows_in(folder: Path) -> int:
    """How many rows a log has on disk."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(part).num_rows for part in folder.glob("part-*.parquet"))


class Client:
    """Sends one request after the other from a thread and counts answers by version, and failures."""

    def __init__(self, url: str, payload: dict[str, object]) -> None:
        self.url = url
        self.payload = payload
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Client":
        """Begin to send."""
        self._thread.start()
        return self

    def _run(self) -> None:
        session = requests.Session()
        body = json.dumps(self.payload)
        while not self._stop.wait(PAUSE_SECONDS):
            try:
                answer = session.post(
                    f"{self.url}/invocations", data=body, headers={"Content-Type": "application/json"}, timeout=30
                )
                good = answer.status_code == 200 and len(answer.json()["predictions"]) > 0
                version = answer.headers.get("X-Model-Version", "none")
                trouble = f"HTTP {answer.status_code}: {answer.text[:200]}"
            except (requests.RequestException, ValueError, KeyError) as error:
                good, version, trouble = False, "none", repr(error)
            with self.changed:
                if good:
                    self.answers[version] += 1
                else:
                    self.failures.append(trouble)
                self.changed.notify_all()

    def wait_for(self, version: int, seconds: float) -> float:
        """Return after how many seconds the first answer (or failure) after now comes from `version`."""
        started = time.monotonic()
        with self.changed:
            before = self.answers[str(version)]
            self.changed.wait_for(lambda: self.answers[str(version)] > before, timeout=seconds)
            if self.answers[str(version)] == before:
                raise PromotionError(
                    f"no answer from version {version} within {seconds:.0f} s; answers: {dict(self.answers)}"
                )
        return time.monotonic() - started

    def stop(self) -> None:
        """Stop sending and wait for the last answer."""
        self._stop.set()
        self._thread.join(60)
