"""How the judgement looks: the same records as a pull request comment, a job summary, a page and a terminal's text."""

from promotion.rendering.html import report_html
from promotion.rendering.markdown import comment_markdown, job_summary, summary_line
from promotion.rendering.reported import NOWHERE, Links, Reported, is_green, labels
from promotion.rendering.terminal import terminal_text

__all__ = [
    "NOWHERE",
    "Links",
    "Reported",
    "comment_markdown",
    "is_green",
    "job_summary",
    "labels",
    "report_html",
    "summary_line",
    "terminal_text",
]
