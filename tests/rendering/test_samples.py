"""Every sample renders in every form."""

import pytest
from promotion.rendering import comment_markdown, job_summary, report_html, summary_line, terminal_text

from tests.support import samples


@pytest.mark.parametrize("name", samples.every())
def test_every_sample_renders_in_every_form(name: str) -> None:
    """Each verdict and action gives a comment, a summary, a page, a status line and terminal text."""
    models = samples.every()[name]

    assert comment_markdown(models, plan=samples.PLAN).startswith("<!-- promotion-report")
    assert "promotion-report" not in job_summary(models, plan=samples.PLAN)
    assert report_html(models, plan=samples.PLAN).startswith("<!doctype html>")
    assert 0 < len(summary_line(models)) <= 140
    assert terminal_text(models)
