"""What a step tells the runner: nothing that a model or a contributor says is obeyed."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from promotion.errors import PromotionError
from promotion.github.actions import (
    MAX_SUMMARY_BYTES,
    Annotation,
    beside,
    command,
    cut,
    write_output,
    write_summary,
)
from promotion.text.escape import log_text

HOSTILE = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("::##[]%\n\r,=error add-mask<>`\u2028\x85\x0b")), st.characters(codec="utf-8")
    ),
    max_size=60,
)


def runner_reads(line: str) -> tuple[str, dict[str, str], str] | None:
    """What the runner takes from a line of the log: command, properties, message (actions/runner, ActionCommand.cs)."""
    older = re.search(r"##\[([^\]\s]+)[^\]]*\](.*)", line)
    newer = re.match(r"\s*::([^ :]+) ?(.*?)::(.*)", line, re.DOTALL)
    if newer is None:
        return (older.group(1), {}, older.group(2)) if older else None
    properties = {}
    for pair in newer.group(2).split(","):
        if "=" in pair:
            key, value = pair.split("=", 1)
            for code, char in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
                value = value.replace(code, char)
            properties[key.strip()] = value
    message = newer.group(3)
    for code, char in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        message = message.replace(code, char)
    return newer.group(1), properties, message


@given(message=HOSTILE, file=HOSTILE)
def test_annotation_is_one_command_that_says_what_was_meant(message: str, file: str) -> None:
    """Whatever message and file contain, the runner reads one error with exactly that file and message."""
    line = command(Annotation("error", message, file=file, line=3))
    read = runner_reads(line)

    assert "\n" not in line
    assert "\r" not in line
    assert read is not None
    name, properties, said = read
    assert (name, properties.get("line"), said) == ("error", "3", message.replace("##[", "## ["))
    assert properties.get("file", "") == file.replace("##[", "## [")


@given(text=HOSTILE)
@example("loss 0.1 ##[add-mask]x")
@example("\u3000 ::stop-commands::x")
@example("a\x85::set-output name=a::b\r::error::c")
def test_log_text_is_never_a_command(text: str) -> None:
    """No line of a printed text is a workflow command, new style or old."""
    for line in re.split(r"\r\n|[\n\r]", log_text(text)):
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def test_log_text_keeps_ordinary_text() -> None:
    """Ordinary lines stay as they are."""
    assert log_text("a: b\n  c::d\n# e") == "a: b\n  c::d\n# e"


def test_level_is_one_of_three() -> None:
    """A level that the runner would take as another command is a bug of the caller."""
    with pytest.raises(ValueError, match="not a level"):
        command(Annotation("add-mask", "x"))


@given(value=HOSTILE)
def test_output_cannot_start_another(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    """A value with line ends and `name=value` lines stays one output."""
    path = tmp_path_factory.mktemp("out") / "output"
    write_output({"first": value, "second": "2"}, {"GITHUB_OUTPUT": str(path)})
    lines = path.read_bytes().decode().split("\n")
    end = lines[0].removeprefix("first<<")

    assert "\n".join(lines[1 : lines.index(end, 1)]) == value
    assert lines[lines.index(end, 1) + 1].startswith("second<<")


def test_outputs_and_summary_do_nothing_on_a_laptop() -> None:
    """Without the runner's files nothing is written and nothing fails."""
    write_output({"x": "y"}, {})

    assert write_summary("x", {}) is False


def test_summary_is_appended(tmp_path: Path) -> None:
    """Two summaries of one step follow each other."""
    env = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}

    assert write_summary("# one", env)
    assert write_summary("# two\n", env)
    assert (tmp_path / "summary").read_text() == "# one\n# two\n"


def test_summary_stays_below_one_mebibyte(tmp_path: Path) -> None:
    """With what the step wrote before, the file ends below the limit, says that it was cut, and closes its fence."""
    path = tmp_path / "summary"
    path.write_text("x" * 500_000 + "\n")
    text = "# head\n\n<details><summary>all</summary>\n\n```text\n" + "é log line\n" * 100_000 + "```\n\n</details>\n"
    write_summary(text, {"GITHUB_STEP_SUMMARY": str(path)}, more="See the artifact.")
    written = path.read_text()

    assert len(written.encode()) <= MAX_SUMMARY_BYTES
    assert written.endswith("See the artifact._\n")
    assert written.count("```") % 2 == 0
    assert written.count("<details") == written.count("</details>")


def test_full_summary_takes_no_more(tmp_path: Path) -> None:
    """Where the step has filled its summary already, nothing is added."""
    path = tmp_path / "summary"
    path.write_text("x" * MAX_SUMMARY_BYTES)
    write_summary("more", {"GITHUB_STEP_SUMMARY": str(path)})

    assert path.stat().st_size == MAX_SUMMARY_BYTES


def test_cut_ends_between_blocks() -> None:
    """A table and a fence are kept whole or left out, not halved."""
    table = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 50
    text = f"# title\n\nfirst\n\n{table}\nlast\n"

    assert cut(text, 100) == "# title\n\nfirst"
    assert cut(text, 10_000) == text.rstrip("\n")


blocks = st.lists(
    st.sampled_from(
        [
            "para\nline\n",
            "```\ncode\n\nmore\n```\n",
            "<details>\n",
            "</details>\n",
            "| a |\n|---|\n| 1 |\n",
            "é" * 30 + "\n",
        ]
    ),
    max_size=12,
).map("\n".join)


@given(text=blocks, room=st.integers(0, 300))
def test_cut_fits_and_closes(text: str, room: int) -> None:
    """Whatever the text, the result fits and leaves no fence open."""
    shorter = cut(text, room)

    assert len(shorter.encode()) <= max(room, 0) or shorter == text.rstrip("\n")
    assert shorter.count("```") % 2 == 0


def test_summary_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """A path that is a folder ends in one line."""
    with pytest.raises(PromotionError, match="cannot be written"):
        write_output({"a": "b"}, {"GITHUB_OUTPUT": str(tmp_path)})


@pytest.mark.parametrize(
    ("running", "wanted"),
    [
        ("o/r/.github/workflows/drift.yml@refs/heads/main", "promote.yml"),
        ("o/r/.github/workflows/promotion-drift.yml@refs/heads/main", "promotion-promote.yml"),
        ("o/r/.github/workflows/ml.schedule.yaml@refs/heads/a@b", "ml.promote.yaml"),
        ("o/r/.github/workflows/nightly.yml@refs/heads/main", "promote.yml"),
        ("", "promote.yml"),
    ],
)
def test_another_workflow_is_the_one_beside_the_one_that_runs(running: str, wanted: str) -> None:
    """A repository that calls ours names its callers as it likes; what drift starts stands beside drift's caller."""
    assert beside("promote.yml", {"GITHUB_WORKFLOW_REF": running}) == wanted


def test_on_a_persons_machine_the_workflow_is_the_file_that_calls_it(tmp_path: Path) -> None:
    """The checkout's own file; where none calls ours, our own name."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "ci.yml").write_text("steps:\n  - run: echo promote.yml\n")
    assert beside("promote.yml", {}, top=tmp_path) == "promote.yml"

    (folder / "ml-live.yaml").write_text("jobs:\n  p:\n    uses: o/r/.github/workflows/promote.yml@abc # v1\n")
    assert beside("promote.yml", {}, top=tmp_path) == "ml-live.yaml"
    assert beside("drift.yml", {}, top=tmp_path) == "drift.yml"
