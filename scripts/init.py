"""Put a model into a repository: promotion.yaml, a model folder, workflows that call ours, owners' and ignore lines.

Nothing that is there is overwritten: a file is new, gets the lines that it lacks, or is left and said so.
"""

import datetime
import re
import shlex
from pathlib import Path

from promotion.cli import command_line, handled
from promotion.config.sections import MODEL_NAME, NAMES
from promotion.errors import OK, PromotionError
from promotion.git.whose import PROJECT
from promotion.setup.callers import Ours, callers, ours
from promotion.setup.files import DEPENDABOT, Newcomer, plan_files, write_files
from promotion.setup.table import COPIED_BYTES, MOST_GAPS, Spans, Table, read_table
from promotion.setup.where import newcomer

LEFT = "there already, not touched"
GITHUB = "github.com"  # elsewhere (Enterprise Server) a called workflow is not told where it comes from
STATES = {"new": "new", "merged": "lines added", "same": "nothing to add", "left": LEFT}


def init(to: Newcomer, table: Table | None, windows: Spans, what: Ours) -> list[str]:
    """Write the files; return a line for each."""
    changes = plan_files(to, table, windows, what)
    write_files(to, changes)
    width = max(len(change.path) for change in changes)
    lines = [f"{change.path:<{width}}  {STATES[change.state]}" for change in changes]
    if any(change.path == DEPENDABOT and change.state == "left" for change in changes):
        lines.append(f"{DEPENDABOT}: see that it updates `github-actions` in `/`, which is how releases arrive")
    return [*lines, *called_now(to.top)]


def called_now(top: Path) -> list[str]:
    """Say what the repository's workflows call, which a caller that was there already may have been moved to."""
    called: dict[str, list[str]] = {}
    for one in callers(top):
        version = f" ({one.version})" if one.version else ""
        called.setdefault(f"{one.repository} at {one.commit[:12]}{version}", []).append(one.file)
    if len(called) == 1:
        return [f"the workflows call {next(iter(called))}"]
    lines = [f"{', '.join(files)} {'calls' if len(files) == 1 else 'call'} {what}" for what, files in called.items()]
    return [*lines, "let all of them call one commit: what stands after `uses:`"] if lines else []


def remaining(to: Newcomer, table: Table | None) -> list[str]:
    """What only a person can do, in order."""
    entry, here = to.path("promotion.yaml"), shlex.quote(str(to.top / to.root))
    yours = [f"say in {entry} how long labels take (delay_days), and what is worth how much (dollars, gate)"]
    if table is None:
        yours.append(f"load your rows in {to.path(f'models/{to.name}/data.py')}")
    elif table.path.stat().st_size > COPIED_BYTES:
        yours.append(
            f"{to.path(f'models/{to.name}/data.py')} reads {table.path}: put it where a runner can read it too"
        )
    if table is not None and len(table.gaps) > MOST_GAPS:
        yours.append(
            f"{len(table.gaps)} days have no row: say by `empty(day)` in data.py which of them rightly have none"
        )
    if to.owner is None:
        yours.append("there is no `origin` on a server, so CODEOWNERS got no lines: run this again once there is")
    scripts = shlex.quote(str(PROJECT / "scripts"))
    steps = [
        "; ".join(yours),
        f"python {scripts}/retrain.py try {to.name} --repo {here}, until its verdict is one that you believe",
        f"commit all of it, and merge it into {to.branch}; red there means only that it brings its own judge",
        f"GITHUB_TOKEN=… python {scripts}/doctor.py --repo {here} --fix, which shows the settings that are missing and "
        "makes them",
        "give the repository the secrets of your MLflow server, and the environment `production` its own (SETUP.md)",
    ]
    return [f"{number}. {step}" for number, step in enumerate(steps, start=1)]


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments, write the files, print what remains."""
    parser = command_line(
        "Put this project into a repository of yours. Run it from a clone or an unpacked release.",
        epilog="Reads the repository, TABLE, and which commit this clone is at. Writes promotion.yaml, models/NAME/, "
        "workflows that call this project's, lines of CODEOWNERS and .gitignore; overwrites nothing.",
    )
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="a git checkout, or a folder in one")
    parser.add_argument("--name", required=True, metavar="MODEL", help="the first model's name")
    parser.add_argument("--task", required=True, choices=("classification", "regression"))
    parser.add_argument("--from", dest="table", type=Path, metavar="TABLE", help="a Parquet file of labelled rows")
    parser.add_argument("--label", help="TABLE's column to predict (default: found out)")
    parser.add_argument("--day", help="TABLE's column of dates (default: found out)")
    parser.add_argument(
        "--uses", metavar="OWNER/NAME@COMMIT", help="what the workflows call (default: this clone's origin and commit)"
    )
    args = parser.parse_args(argv)
    if not re.fullmatch(MODEL_NAME, args.name):
        raise PromotionError(f"`{args.name}` is not a model name: {NAMES}")
    to = newcomer(args.into, args.name, args.task)
    what = ours(args.uses, says_itself=to.server not in (None, GITHUB))
    table, windows = None, Spans(90, 14, 7, 14, datetime.date.today() - datetime.timedelta(days=21))
    if args.table is not None:
        table, windows = read_table(args.table, args.task, label=args.label, day=args.day, delay_days=7)
    print("\n".join([*init(to, table, windows, what), "", "What remains:", *remaining(to, table)]))
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
