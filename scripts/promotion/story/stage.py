"""A stage for a story on one machine: a hosted repository, a registry, a server, and the steps of a pull request."""

import json
import re
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as of_day
from pathlib import Path

from promotion.errors import PromotionError
from promotion.records.evaluation import Evaluation
from promotion.records.plan import Plan
from promotion.records.watched import Watched
from promotion.registry.client import CHAMPION, Registry
from promotion.story.client import Client, Server, replay, rows_in
from promotion.story.hosting import Hosting, LocalPull
from promotion.text.progress import Step

MARKER = ".made-by-demo"
NOON = of_day(12)
LOG, LABELS = "log", "labels.parquet"  # of live traffic


class Stage:
    """The state of a story about one model; every step is the real verb in a process of its own."""

    def __init__(self, root: Path, hosting: Hosting, model: str, day: date | None = None) -> None:
        self.root, self.model = root, model
        self.env, self.hosting = hosting.env, hosting
        self.scripts = hosting.scripts or hosting.project / "scripts"
        self.registry = Registry(self.env["MLFLOW_TRACKING_URI"])
        self.server: Server | None = None
        self.client: Client | None = None
        self.checkout = threading.Lock()  # there is one clone, and two pull requests may be judged at once
        self.step = Step()
        self.started = time.monotonic()
        self.rows: list[Row] = []
        self.day, self.since = day, self.started
        self.tick()

    def on(self, day: date) -> None:
        """Let it be noon of a day; from there on the story's clock goes as the machine's does."""
        self.day, self.since = day, time.monotonic()
        self.tick()

    def tick(self) -> None:
        """Tell the next steps what time it is on the days of the story: git for its commits, the verbs for the rest."""
        if self.day is None:  # the machine's own time
            return
        seconds = timedelta(seconds=int(time.monotonic() - self.since))
        now = (datetime.combine(self.day, NOON, UTC) + seconds).isoformat()
        self.env |= dict.fromkeys(("PROMOTION_NOW", "GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), now)

    def say(self, text: str) -> None:
        """Show a line with the seconds since the start."""
        self.step.say(f"[{time.monotonic() - self.started:5.0f} s] {text}")

    def champion(self) -> int | None:
        """Return the version that the registry has as @champion, read through MLflow's client."""
        model = self.registry.model(self.model)
        return None if model is None else model.aliases.get(CHAMPION)

    def versions(self) -> list[int]:
        """Return the registry's versions of the model."""
        found = []
        number = 1
        while self.registry.version(self.model, number) is not None:
            found.append(number)
            number += 1
        return found

    def row(self, act: str, what: str, verdict: str, folder: Path) -> None:
        """Add a line to the closing table."""
        now = self.champion()
        self.rows.append(Row(act, what, verdict, f"version {now}" if now else "none", str(folder)))

    def expect(self, act: str, what: str, found: object, told: object) -> None:
        """Stop loudly when an act does not come out as told."""
        if found != told:
            raise PromotionError(f"act ({act}) did not come out as told: {what} is {found}, the story says {told}")

    @property
    def model_yaml(self) -> Path:
        """model.yaml in the clone."""
        return self.hosting.here / "models" / self.model / "model.yaml"

    def edit(self, parameters: dict[str, str]) -> None:
        """Write parameters into the clone's model.yaml, as a data scientist would."""
        self.tick()
        self.hosting.pull()
        path = self.model_yaml
        text = path.read_text(encoding="utf-8")
        for key, value in parameters.items():
            line = re.compile(rf"^(  )(?:# )?{key}:[^\n]*$", re.MULTILINE)
            text, found = line.subn(f"  {key}: {value}", text, count=1)
            if not found:
                raise PromotionError(f"model.yaml has no parameter `{key}` to edit", file=path)
        path.write_text(text, encoding="utf-8")

    def offer(self, title: str, branch: str, folder: str, parameters: dict[str, str]) -> LocalPull:
        """Open a pull request that sets parameters in model.yaml."""
        self.edit(parameters)
        return self.hosting.open(title, branch, folder)

    def judge(self, act: str, request: LocalPull) -> str:
        """Run retrain.yml's steps on a pull request; return the verdict, or the plan's action where none is judged."""
        records, log = request.folder / "records", request.folder / "steps.log"
        self.tick()
        with self.checkout:
            merge = self.hosting.merge_result(request)

        def verb(script: str, *args: str, accept: tuple[int, ...] = (0,), where: Path = merge) -> int:
            return self.hosting.verb(where, script, "--work", str(records), *args, log=log, accept=accept)

        root = ("--root", self.hosting.folder or ".")
        verb("prepare.py", *root, "--pull", f"pull/{request.number}", accept=(0, 1))
        planned = {item.model: item.action for item in Plan.read(records / "plan.json").models}
        doing = ", ".join(f"{name}: {action}" for name, action in planned.items() if action != "none")
        self.say(f"({act})   prepare: {doing}")
        verdict: str = planned[self.model]
        judged, pinned = verdict in ("train", "judge"), False
        if judged:
            self.say(f"({act})   train (in a process without credentials)")
            verb("train.py")
        self.say(f"({act})   score")
        verb("score.py")
        if judged:
            self.say(f"({act})   gate, challenge")
            verb("gate.py", accept=(0, 1))
            verb("challenge.py", accept=(0, 1))
            evaluation = Evaluation.read(records / self.model / "evaluation.json")
            verdict = evaluation.verdict
            self.say(f"({act})   {verdict}: {evaluation.headline}")
            with self.checkout:
                self.hosting._git(self.hosting.clone, "checkout", "--quiet", request.branch)
                pinned = verb("pin.py", *root, accept=(0, 1), where=self.hosting.clone) == 0
                if pinned:
                    self.hosting.commit_pin(request)
                    self.say(f"({act})   pinned on the branch")
        verb("report.py", *(["--pinned"] if pinned else []), accept=(0, 1))
        for name in ("comment.md", "report.html"):
            shutil.copy2(records / name, request.folder / name)
        return verdict

    def promote(self, folder: Path) -> None:
        """Run promote.yml's step on the tip of main; what it prints goes to the folder's promote.log."""
        self.tick()
        self.hosting.pull()
        root = ("--root", self.hosting.folder or ".")
        self.hosting.verb(self.hosting.clone, "promote.py", "apply", *root, log=folder / "promote.log")

    def watch(self, act: str, name: str) -> Watched:
        """Run watch.yml's steps on the tip of main; return what the look at the model found."""
        folder = self.root / name
        folder.mkdir()
        records, log, clone = folder / "records", folder / "watch.log", self.hosting.clone
        self.tick()
        with self.checkout:
            self.hosting.pull()
            self.hosting.verb(clone, "watch.py", "plan", "--work", str(records), log=log)
        self.say(f"({act})   watch: champion and predecessor answer the days since the merge")
        self.hosting.verb(clone, "score.py", "--work", str(records), log=log)
        with self.checkout:
            self.hosting.verb(clone, "watch.py", "judge", "--work", str(records), log=log, accept=(0, 1))
        found = Watched.read(records / self.model / "watched.json")
        self.say(f"({act})   {found.verdict}: {found.reason}")
        return found

    def history(self) -> Path:
        """Write the page of all models."""
        page = self.root / "history.html"
        self.tick()
        self.hosting.pull()
        self.hosting.verb(
            self.hosting.clone, "promote.py", "history", "--html", str(page), log=self.root / "history.log"
        )
        return page

    def serve(self, *options: str) -> None:
        """Start the server that follows @champion."""
        self.server = Server(self.scripts, self.model, self.env, self.root / "server.log", options=options)

    def replay(self, act: str, look: str, version: int) -> int:
        """Send a look's rows to the server once `version` is in the champion's shadow; return how many."""
        assert self.server is not None
        self.server.wait(lambda health: health["shadow"]["version"] == version, f"version {version} in the shadow")
        rows = replay(self.server.url, self.root / look / "records" / self.model / "champion", self.root / LABELS)
        self.server.wait(lambda health: health["shadow"]["waiting"] == 0, "the shadow's answers")
        self.say(f"({act})   {rows:,} payments were answered, and by version {version} in shadow")
        return rows

    def judge_live(self, act: str, pair: str, rows: int) -> Evaluation:
        """Judge what two versions answered in live traffic, once the log has so many rows, by the labels since."""
        assert self.server is not None
        log, work = self.root / LOG / self.model / pair, self.root / "live"
        self.server.wait(lambda _: rows_in(log) >= rows, f"{rows} rows in {log}")
        args = (str(log), "--labels", str(self.root / LABELS), "--model", self.model, "--work", str(work))
        self.say(f"({act})   python scripts/judge.py {LOG}/{self.model}/{pair} --labels {LABELS}")
        self.hosting.verb(self.hosting.clone, "judge.py", *args, log=self.root / "live.log", accept=(0, 1))
        found = Evaluation.read(work / self.model / "evaluation.json")
        self.say(f"({act})   {found.verdict} on live traffic: {found.headline}")
        return found

    def ask(self, act: str, champion: LocalPull) -> Client:
        """Wait for the server; begin to send it, without an end, the example that a champion's model was saved with."""
        assert self.server is not None
        self.say(f"({act})   {self.server.ready()}")
        model = champion.folder / "records" / self.model / "candidate" / "model"
        example = json.loads((model / "serving_input_example.json").read_text(encoding="utf-8"))
        self.client = Client(self.server.url, example).start()
        self.client.wait_for(1, 30)
        return self.client

    def leave(self) -> None:
        """Stop the client, then the server."""
        if self.client is not None:
            self.client.stop()
        if self.server is not None:
            self.server.stop()


@dataclass(frozen=True)
class Row:
    """One line of the table at the end of a story."""

    act: str
    what: str
    verdict: str
    champion: str
    where: str


HEAD = Row("act", "what happened", "verdict", "@champion after", "records, comment.md, report.html")


def table(rows: Sequence[Row]) -> str:
    """The rows below their head."""
    return "\n".join(
        f"{row.act:<4} {row.what:<30} {row.verdict:<13} {row.champion:<16} {row.where}" for row in (HEAD, *rows)
    )


def fresh_folder(root: Path) -> Path:
    """Return `root`, empty; only a folder that the demo or a rehearsal made before is removed."""
    if root.exists():
        if not (root / MARKER).is_file() and any(root.iterdir()):
            raise PromotionError(f"{root} is not empty and was not made by the demo; choose another --dir")
        shutil.rmtree(root)
    root.mkdir(parents=True)
    (root / MARKER).write_text("made by scripts/demo.py, which removes this folder before it plays again\n")
    return root.resolve()
