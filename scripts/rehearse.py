"""Rehearse one of your models on this machine: opened, trained, judged, pinned, merged, served, challenged, taken back.

A throwaway folder holds a hosted repository of your files, a registry and a server; yours are only read. Whatever the
verdicts are, the steps are those of the workflows, and what a pull request would say lies in the folder.
"""

import sys
from pathlib import Path

from promotion.cli import command_line, handled
from promotion.config import FILE
from promotion.config.model_yaml import parse_spec, with_seed
from promotion.config.promotion_yaml import load
from promotion.config.strict import read_text
from promotion.errors import VERDICT_NO
from promotion.git.repo import Repo
from promotion.git.whose import PROJECT
from promotion.records.steps import Gate
from promotion.retrain.seeds import LIMIT
from promotion.retrain.update import without_pins
from promotion.story.hosting import Hosting, LocalPull, environment
from promotion.story.stage import Stage, fresh_folder, table
from promotion.text.progress import progress

SEED = "another seed"


def reseeded(text: str, file: str) -> str:
    """A model.yaml's text with the next seed, whatever form it is written in."""
    return with_seed(text, (parse_spec(text, file).seed + 1) % LIMIT, file)


class Rehearsal(Stage):
    """The acts, for whatever model it is."""

    def __init__(self, root: Path, repo: Repo, model: str) -> None:
        folder = repo.prefix.rstrip("/")
        scripts, env = PROJECT / "scripts", environment(root, repo.here / ".data")
        super().__init__(root, Hosting(root, repo.top.path, env, folder=folder, scripts=scripts), model)

    def nobodys(self, here: Path) -> None:
        """No champion: the registry of a rehearsal is empty."""
        (here / FILE).write_text(without_pins((here / FILE).read_text(encoding="utf-8")), encoding="utf-8")

    def first(self) -> tuple[LocalPull, bool]:
        """The model as it lies on disk, as a first pull request; whether it won, and so is merged, promoted, served."""
        self.say("(a) a retrain pull request with the model as it is")
        self.hosting.pull()
        self.model_yaml.write_text(f"{self.model_yaml.read_text(encoding='utf-8')}\n# rehearsed\n", encoding="utf-8")
        request = self.hosting.open(f"Retrain {self.model}", "retrain/first", "first")
        verdict = self.judge("a", request)
        if verdict == "FIRST":
            self.hosting.squash(request)
            self.promote(request.folder)
            self.serve()
            self.ask("a", request)
        self.row("a", "first champion", verdict, request.folder)
        return request, verdict == "FIRST"

    def challenge(self) -> str | None:
        """The same with another seed challenges it; the merge's commit where it won."""
        assert self.client is not None
        self.say(f"(b) a challenge: {SEED}")
        self.hosting.pull()
        text = self.model_yaml.read_text(encoding="utf-8")
        self.model_yaml.write_text(reseeded(text, f"models/{self.model}/model.yaml"), encoding="utf-8")
        request = self.hosting.open(f"Retrain {self.model} with {SEED}", "retrain/seed", "challenge")
        verdict = self.judge("b", request)
        version = Gate.read(request.folder / "records" / self.model / "gate.json").version
        merged = self.hosting.squash(request) if verdict in ("PROMOTE", "SAME") else None
        if merged is not None:
            self.promote(request.folder)
            self.client.wait_for(version or 0, 60)
        self.row("b", SEED + (", merged" if merged else ""), verdict, request.folder)
        return merged

    def back(self, commit: str, to: int | None) -> None:
        """git revert of a merge: what was champion before is again, or nobody is."""
        assert self.client is not None
        self.say("(c) git revert of the last merge")
        self.hosting.revert(commit)
        request = self.hosting.open("Revert", "revert/last", "revert")
        self.expect("c", "what is done", self.judge("c", request), "verify")
        self.hosting.squash(request)
        if to is None:
            self.client.stop()  # a server without a champion has no answer
        self.promote(request.folder)
        self.expect("c", "@champion", self.champion(), to)
        if to is not None:
            self.client.wait_for(to, 60)
        self.row("c", "git revert of the last merge", "rollback", request.folder)

    def play(self) -> bool:
        """All acts; whether the first model passed its gate, without which there are no others."""
        try:
            with progress("the rehearsal", 100, told=False) as self.step:
                self.hosting.create(self.nobodys)
                _, won = self.first()
                if won:
                    first = self.hosting.pull()
                    better = self.challenge()
                    self.back(better or first, 1 if better else None)
        finally:
            self.leave()
        return won

    def told(self) -> str:
        """The closing table and where to look."""
        lines = [table(self.rows), ""]
        if self.client is not None:
            lines.append(f"requests answered: {sum(self.client.answers.values())}; failed: {len(self.client.failures)}")
        lines.append(f"repository: {self.hosting.bare}; registry: {self.env['MLFLOW_TRACKING_URI']}")
        return "\n".join(lines)


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and play; exit 1 where the model does not pass its gate."""
    parser = command_line(
        "Play a model of yours from its pull request to a champion that is served, and back.",
        "repo",
        epilog="Reads promotion.yaml and models/MODEL/ as they lie on disk. Writes a repository, a registry and a "
        "folder for each pull request into DIR, which it empties first; your own are not touched.",
    )
    parser.add_argument("model", metavar="MODEL", help="the model, as promotion.yaml names it")
    parser.add_argument("--dir", type=Path, default=Path(".demo"), help="the throwaway folder (default: %(default)s)")
    args = parser.parse_args(argv)
    repo = Repo(args.repo, args.root)
    repo.check()
    load(repo.here / FILE).entry(args.model)
    read_text(repo.here / "models" / args.model / "model.yaml", missing="every model folder needs one")
    rehearsal = Rehearsal(fresh_folder(args.dir), repo, args.model)
    won = rehearsal.play()
    print(f"\n{rehearsal.told()}")
    if not won:
        print("the model did not become a champion; comment.md says why", file=sys.stderr)
    return 0 if won else VERDICT_NO


if __name__ == "__main__":
    raise SystemExit(main())
