"""Put a model into a repository: promotion.yaml, a model folder, owners' and ignore lines.

Nothing that is there is overwritten: a file is new, gets the lines that it lacks, or is left and said so.
"""

import datetime
import re
from pathlib import Path

from promotion.cli import command_line, handled
from promotion.config.sections import MODEL_NAME
from promotion.errors import OK, PromotionError
from promotion.setup.files import Newcomer, plan_files, write_files
from promotion.setup.table import Spans, Table, read_table
from promotion.setup.where import newcomer

LEFT = "there already, not touched"
STATES = {"new": "new", "merged": "lines added", "same": "nothing to add", "left": LEFT}


def init(to: Newcomer, table: Table | None, windows: Spans) -> list[str]:
    """Write the files; return a line for each."""
    changes = plan_files(to, table, windows)
    write_files(to, changes)
    width = max(len(change.path) for change in changes)
    return [f"{change.path:<{width}}  {STATES[change.state]}" for change in changes]


def remaining(to: Newcomer, table: Table | None) -> list[str]:
    """What only a person can do, in order."""
    entry = to.path("promotion.yaml")
    steps = [f"{entry}: say how long labels take (delay_days), and what is worth how much (dollars, gate)"]
    if table is None:
        steps.append(f"{to.path(f'models/{to.name}/data.py')}: load your rows")
    here = f" --repo {to.root}" if to.root else ""
    steps += [
        f"python scripts/retrain.py try {to.name} --repo {to.top / to.root}",
        "copy .github/, scripts/ and requirements/, commit, and follow .github/SETUP.md from its second step",
        f"python scripts/doctor.py{here}  # what is still missing",
    ]
    return [f"{number}. {step}" for number, step in enumerate(steps, start=1)]


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments, write the files, print what remains."""
    parser = command_line(
        "Put this project into a repository of yours. Run it from a clone or an unpacked release.",
        epilog="Reads the repository and TABLE. Writes promotion.yaml, models/NAME/, lines of "
        "CODEOWNERS and .gitignore; overwrites nothing.",
    )
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="a git checkout, or a folder in one")
    parser.add_argument("--name", required=True, metavar="MODEL", help="the first model's name")
    parser.add_argument("--task", required=True, choices=("classification", "regression"))
    parser.add_argument("--from", dest="table", type=Path, metavar="TABLE", help="a Parquet file of labelled rows")
    parser.add_argument("--label", help="TABLE's column to predict (default: found out)")
    parser.add_argument("--day", help="TABLE's column of dates (default: found out)")
    args = parser.parse_args(argv)
    if not re.fullmatch(MODEL_NAME, args.name):
        raise PromotionError(f"`{args.name}` is not a model name: letters, digits, `.`, `_` and `-` only")
    to = newcomer(args.into, args.name, args.task)
    table, windows = None, Spans(90, 14, 7, 14, datetime.date.today() - datetime.timedelta(days=21))
    if args.table is not None:
        table, windows = read_table(args.table, args.task, label=args.label, day=args.day, delay_days=7)
    print("\n".join([*init(to, table, windows), "", "What remains:", *remaining(to, table)]))
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
