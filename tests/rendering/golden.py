"""Write every form of the comment to golden/, beside this: `python tests/rendering/golden.py`, then read the diff."""

import argparse
import functools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from promotion.rendering import Links, comment_markdown  # noqa: E402
from promotion.rendering.watch import watch_markdown  # noqa: E402

from tests.support import sample_history, samples  # noqa: E402

FOLDER = Path(__file__).parent / "golden"
RUN = "https://github.com/octo/fraud/actions/runs/1"
LINKS = Links(run=RUN, report=f"{RUN}/artifacts/2", pull="https://github.com/octo/fraud/pull/7")


@functools.cache
def comments() -> dict[str, str]:
    """Every form of the comment by its name."""
    found = {name: comment_markdown(models, plan=samples.PLAN, links=LINKS) for name, models in samples.every().items()}
    refusal = "it changes fraud-detector together with scripts/; split it into two pull requests"
    refused = comment_markdown([samples.promote(pinned=False)], plan=samples.PLAN, links=LINKS, refusals=[refusal])
    watched = {"watch": watch_markdown(*sample_history.watched()), "floor": watch_markdown(*sample_history.alone())}
    return {**found, "mixed": refused, **watched}


def main() -> int:
    """Write the files, and remove those of forms that are gone."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    FOLDER.mkdir(exist_ok=True)
    made = comments()
    for path in FOLDER.glob("*.md"):
        if path.stem not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
    print(f"wrote {len(made)} files to {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
