"""Play the whole story on one machine: six acts in a throwaway folder, with the scripts that the workflows run.

Nothing here decides a verdict: every act runs the real verbs on real data, and the demo fails when an
act does not come out as told.
"""

import json
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from promotion.cli import command_line, handled
from promotion.errors import PromotionError
from promotion.records import Evaluation, Plan
from promotion.registry.client import CHAMPION, Registry
from promotion.story.client import Client, Server
from promotion.story.hosting import Hosting, PullRequest, environment

MODEL = "fraud-detector"
PROJECT = Path(__file__).resolve().parent.parent
MARKER = ".made-by-demo"
FOREST = {"estimator": "random_forest", "settings": "{n_estimators: 100}"}
BLIND = {"settings": "{}", "features": "[night, weekend, terminal_count_7d, terminal_fraud_rate_7d]"}
STUMP = {"estimator": "decision_tree", "settings": "{max_depth: 2}"}


@dataclass(frozen=True)
class Row:
    """One line of the table at the end."""

    act: str
    what: str
    verdict: str
    champion: str
    where: str


class Demo:
    """The story's state: the hosted repository, the registry, the server and its client."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = environment(root, PROJECT / ".data")
        self.hosting = Hosting(root, PROJECT, self.env)
        self.registry = Registry(self.env["MLFLOW_TRACKING_URI"])
        self.rows: list[Row] = []
        self.server: Server | None = None
        self.client: Client | None = None
        self.started = time.monotonic()

    def say(self, text: str) -> None:
        """Show progress with the seconds since the start."""
        print(f"[{time.monotonic() - self.started:5.0f} s] {text}", flush=True)

    def champion(self) -> int | None:
        """Return the version that the registry has as @champion, read through MLflow's client."""
        model = self.registry.model(MODEL)
        return None if model is None else model.aliases.get(CHAMPION)

    def expect(self, act: str, what: str, found: object, told: object) -> None:
        """Stop loudly when an act does not come out as told."""
        if found != told:
            raise PromotionError(f"act ({act}) did not come out as told: {what} is {found}, the story says {told}")

    # What happens to a pull request, verb by verb

    def judge(self, request: PullRequest) -> str:
        """Run retrain.yml's steps on a pull request; return the verdict, or the plan's action where none is judged."""
        merge, log = self.hosting.merge_result(request), request.folder / "steps.log"
        records = request.folder / "records"
        work = str(records)
        self.hosting.verb(merge, "prepare.py", "--work", work, log=log, accept=(0, 1))
        planned = {item.model: item.action for item in Plan.read(records / "plan.json").models}
        self.say(
            f"    prepare: {', '.join(f'{name}: {action}' for name, action in planned.items() if action != 'none')}"
        )
        judged = planned.get(MODEL) in ("train", "judge")
        if judged:
            self.say("    train (in a process without credentials) ...")
            self.hosting.verb(merge, "train.py", "--work", work, log=log)
        self.say("    score ...")
        self.hosting.verb(merge, "score.py", "--work", work, log=log)
        verdict: str = planned[MODEL]
        if judged:
            self.say("    gate, challenge ...")
            self.hosting.verb(merge, "gate.py", "--work", work, log=log, accept=(0, 1))
            self.hosting.verb(merge, "challenge.py", "--work", work, log=log, accept=(0, 1))
            evaluation = Evaluation.read(records / MODEL / "evaluation.json")
            verdict = evaluation.verdict
            self.say(f"    {verdict}: {evaluation.headline}")
        pinned = judged and self.pin(request, records, log)
        flag = ("--pinned",) if pinned else ()
        self.hosting.verb(merge, "report.py", "--work", work, *flag, log=log, accept=(0, 1))
        for name in ("comment.md", "report.html"):
            shutil.copy2(records / name, request.folder / name)
        return verdict

    def pin(self, request: PullRequest, records: Path, log: Path) -> bool:
        """Write the winners on the pull request's branch; False when nothing is pinned."""
        self.hosting._git(self.hosting.clone, "checkout", "--quiet", request.branch)
        code = self.hosting.verb(self.hosting.clone, "pin.py", "--work", str(records), log=log, accept=(0, 1))
        if code != 0:
            return False
        self.hosting.commit_pin(request)
        self.say("    pinned on the branch")
        return True

    def promote(self, folder: Path) -> str:
        """Run promote.yml's step on the tip of main; return what it printed."""
        self.hosting.pull()
        log = folder / "promote.log"
        self.hosting.verb(self.hosting.clone, "promote.py", "apply", log=log)
        return log.read_text(encoding="utf-8")

    def edit(self, parameters: dict[str, str]) -> None:
        """Write parameters into the clone's model.yaml, as a data scientist would."""
        self.hosting.pull()
        path = self.hosting.clone / "models" / MODEL / "model.yaml"
        text = path.read_text(encoding="utf-8")
        for key, value in parameters.items():
            line = re.compile(rf"^(  )(?:# )?{key}:[^\n]*$", re.MULTILINE)
            text, found = line.subn(f"  {key}: {value}", text, count=1)
            if not found:
                raise PromotionError(f"model.yaml has no parameter `{key}` to edit", file=path)
        path.write_text(text, encoding="utf-8")

    def row(self, act: str, what: str, verdict: str, folder: Path) -> None:
        """Add a line to the closing table."""
        now = self.champion()
        self.rows.append(Row(act, what, verdict, f"version {now}" if now else "none", str(folder)))

    # The acts

    def act_a(self) -> None:
        """The first champion: the repository ships with none, so the gate alone decides."""
        self.say("(a) the first champion: a retrain pull request with the model as it ships")
        self.hosting.pull()
        path = self.hosting.clone / "models" / MODEL / "model.yaml"
        path.write_text(path.read_text(encoding="utf-8") + "# first retrain\n", encoding="utf-8")
        request = self.hosting.open("First retrain of the fraud detector", "retrain/first", "first-champion")
        verdict = self.judge(request)
        self.expect("a", "the verdict", verdict, "FIRST")
        self.hosting.squash(request)
        self.promote(request.folder)
        self.expect("a", "@champion", self.champion(), 1)
        self.row("a", "first champion", verdict, request.folder)
        example = request.folder / "records" / MODEL / "candidate" / "model" / "serving_input_example.json"
        self.say("    starting the server that follows @champion ...")
        self.server = Server(PROJECT / "scripts", MODEL, self.env, self.root / "server.log")
        self.say(f"    {self.server.line}")
        self.client = Client(self.server.url, json.loads(example.read_text(encoding="utf-8"))).start()
        self.client.wait_for(1, 30)

    def act_b(self) -> str:
        """A better model wins and is merged while a client keeps asking; return the merge commit."""
        assert self.client is not None
        self.say("(b) a retrain pull request with a better model, merged while a client sends requests")
        self.edit(FOREST)
        request = self.hosting.open("Retrain the fraud detector as a forest", "retrain/forest", "better-model")
        verdict = self.judge(request)
        self.expect("b", "the verdict", verdict, "PROMOTE")
        self.expect("b", "@champion before the merge", self.champion(), 1)
        commit = self.hosting.squash(request)
        self.promote(request.folder)
        self.expect("b", "@champion", self.champion(), 2)
        seconds = self.client.wait_for(2, 30)
        self.say(
            f"    merged: version 2 answers {seconds:.1f} s after promote ended; "
            f"failed requests: {len(self.client.failures)}"
        )
        self.expect("b", "failed requests", self.client.failures, [])
        self.row("b", "better model, merged", verdict, request.folder)
        return commit

    def act_c(self) -> None:
        """A candidate that misses a floor: it stays in the tracker and never reaches the registry."""
        self.say("(c) a candidate that the gate rejects: it does not see amounts")
        versions = self.versions()
        self.edit(BLIND)
        request = self.hosting.open("Try a model without amounts", "retrain/blind", "rejected")
        verdict = self.judge(request)
        self.expect("c", "the verdict", verdict, "REJECTED")
        self.expect("c", "the registry's versions", self.versions(), versions)
        self.row("c", "misses the gate", verdict, request.folder)

    def act_d(self) -> None:
        """A candidate that passes the gate and does not win: the champion stays."""
        self.say("(d) a candidate that passes the gate and does not win: a tree of depth 2")
        self.edit(STUMP)
        request = self.hosting.open("Try a small tree", "retrain/small-tree", "does-not-win")
        verdict = self.judge(request)
        if verdict not in ("KEEP", "INCONCLUSIVE"):
            self.expect("d", "the verdict", verdict, "KEEP or INCONCLUSIVE")
        self.expect("d", "@champion", self.champion(), 2)
        self.row("d", "passes the gate, does not win", verdict, request.folder)

    def act_e(self, commit: str) -> None:
        """git revert of (b): the old version is champion again, nothing is retrained."""
        assert self.client is not None
        self.say("(e) git revert of (b)")
        runs = len(self.registry.runs(MODEL))
        self.hosting.revert(commit)
        request = self.hosting.open("Revert the forest", "revert/forest", "revert")
        action = self.judge(request)
        self.expect("e", "what is done", action, "verify")
        self.hosting.squash(request)
        started = time.monotonic()
        self.promote(request.folder)
        self.expect("e", "@champion", self.champion(), 1)
        self.client.wait_for(1, 30)
        self.say(f"    version 1 answers again {time.monotonic() - started:.1f} s after promote started")
        self.expect("e", "runs in the tracker", len(self.registry.runs(MODEL)), runs)
        self.expect("e", "failed requests", self.client.failures, [])
        self.row("e", "git revert of (b)", "rollback", request.folder)

    def act_f(self) -> None:
        """Promote again: nothing changes."""
        self.say("(f) promote again")
        before = self.registry.model(MODEL)
        folder = self.root / "promote-again"
        folder.mkdir()
        self.promote(folder)
        self.expect("f", "the registered model", self.registry.model(MODEL), before)
        self.row("f", "promote again", "no change", folder)

    def versions(self) -> list[int]:
        """Return the registry's versions of the model."""
        found = []
        number = 1
        while self.registry.version(MODEL, number) is not None:
            found.append(number)
            number += 1
        return found

    def play(self) -> None:
        """All acts, in order."""
        self.say("a bare repository stands for the hosted one; cloning it")
        self.hosting.create()
        try:
            self.act_a()
            commit = self.act_b()
            self.act_c()
            self.act_d()
            self.act_e(commit)
            self.act_f()
        finally:
            if self.client is not None:
                self.client.stop()
            if self.server is not None:
                self.server.stop()
        assert self.client is not None
        self.expect("f", "failed requests", self.client.failures, [])

    def table(self) -> str:
        """The closing table and where to look."""
        assert self.client is not None
        head = Row("act", "what happened", "verdict", "@champion after", "records, comment.md, report.html")
        lines = []
        for row in (head, *self.rows):
            lines.append(f"{row.act:<4} {row.what:<30} {row.verdict:<13} {row.champion:<16} {row.where}")
        answers = ", ".join(f"{count} from version {version}" for version, count in sorted(self.client.answers.items()))
        uri = self.env["MLFLOW_TRACKING_URI"]
        lines += [
            "",
            f"requests answered while all this happened: {answers}; failed: {len(self.client.failures)}",
            f"repository:  {self.hosting.bare} (git -C {self.hosting.clone} log --oneline -p promotion.yaml)",
            f"registry:    {uri}",
            "serve the champion:",
            f"  MLFLOW_TRACKING_URI={uri} {sys.executable} {PROJECT / 'scripts' / 'serve.py'} {MODEL}",
        ]
        return "\n".join(lines)


def fresh_folder(root: Path) -> Path:
    """Return `root`, empty; only a folder that the demo made before is removed."""
    if root.exists():
        if not (root / MARKER).is_file() and any(root.iterdir()):
            raise PromotionError(f"{root} is not empty and was not made by the demo; choose another DEMO_DIR")
        shutil.rmtree(root)
    root.mkdir(parents=True)
    (root / MARKER).write_text("made by scripts/demo.py, which removes this folder before it plays again\n")
    return root.resolve()


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and play."""
    parser = command_line(
        "Play the whole story on this machine: train, gate, challenge, merge, serve, revert.",
        epilog="Writes a repository, a registry and a folder per pull request into DIR, which it empties first.",
    )
    parser.add_argument("--dir", type=Path, default=Path(".demo"), help="the throwaway folder (default: %(default)s)")
    args = parser.parse_args(argv)
    demo = Demo(fresh_folder(args.dir))
    demo.play()
    print()
    print(demo.table())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
