"""Take the front page's pictures of a story: `python tests/rendering/pictures.py FOLDER`, in Chromium."""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from tests.support import github_page  # noqa: E402
from tests.support.browser import Browser  # noqa: E402

FOLDER = ROOT / ".github" / "pictures"
REPORT = (1000, 760)  # pixels: the first card of the page
COMMENT = HISTORY = 1000


def main() -> int:
    """Write comment.png, report.png and history.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="comment.md and report.html of a judgement; beside it, history.html")
    folder = parser.parse_args().folder
    browser = Browser()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            page = Path(scratch) / "comment.html"
            page.write_text(github_page.page((folder / "comment.md").read_text(encoding="utf-8")), encoding="utf-8")
            browser.open(page, width=COMMENT)
            first = browser.run("return document.querySelector('details').getBoundingClientRect().top")
            (FOLDER / "comment.png").write_bytes(browser.picture(COMMENT, round(first)))
        browser.open(folder / "report.html", width=REPORT[0])
        card = browser.run("return document.querySelector('.verdict').getBoundingClientRect().bottom")
        (FOLDER / "report.png").write_bytes(browser.picture(REPORT[0], round(card) + 16))
        browser.open(folder.parent / "history.html", width=HISTORY)
        head = browser.run("return document.querySelector('details').getBoundingClientRect().top")
        (FOLDER / "history.png").write_bytes(browser.picture(HISTORY, round(head)))
    finally:
        browser.close()
    print(f"wrote comment.png, report.png and history.png to {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
