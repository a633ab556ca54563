"""The comment says, in this order: what to beware of, the verdict, what merging does, why, and what to do."""

import hashlib
import re
from dataclasses import replace

import pytest
from promotion.records.plan import Changed, FileChange, Plan, Runner
from promotion.rendering import (
    Links,
    Reported,
    comment_markdown,
    is_green,
    report_html,
    summary_line,
)

from tests.support import samples


def comment(*models: Reported, **options: object) -> str:
    """The comment on a pull request with `models`."""
    return comment_markdown(models, plan=samples.PLAN, **options)


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("promote", "## ✅ PROMOTE · `fraud-detector`"),
        ("keep", "## ✋ KEEP · `fraud-detector`"),
        ("inconclusive", "## ❓ INCONCLUSIVE · `fraud-detector`"),
        ("rejected", "## ❌ REJECTED · `fraud-detector`"),
        ("first", "## ✅ FIRST · `fraud-detector`"),
        ("same", "## ✅ SAME · `fraud-detector`"),
        ("rollback", "## ⏪ ROLLBACK · `fraud-detector`"),
        ("verified", "## ✅ VERIFIED · `fraud-detector`"),
        ("retired", "## ⏹️ RETIRE · `fraud-detector`"),
        ("refused", "## 🚫 REFUSED · `fraud-detector`"),
        ("broken", "## ⚠️ ERROR · `fraud-detector`"),
        ("pair", "## ❌ Nothing is pinned: 1 of 2 models did not win"),
    ],
)
def test_the_verdict_is_an_icon_and_a_word(name: str, heading: str) -> None:
    """Each verdict and action has its own heading, readable without colour."""
    assert heading in comment(*samples.every()[name]).split("\n")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("promote", " Merging moves `@champion 3 → 4`."),
        ("keep", " Merging is blocked; `@champion` stays 3."),
        ("rejected", " Merging is blocked; `@champion` stays 3."),
        ("first", " Merging makes version 1 the first champion: `@champion none → 1`."),
        ("same", "and users see no change."),
        ("rollback", " Merging: `@champion 4 → 3`, rollback to the champion of 2018-08-15, merged in #\u200b12."),
        ("verified", " Merging: `@champion 3 → 4`."),
        ("retired", " Merging: `@champion` is dropped."),
    ],
)
def test_what_merging_does(name: str, sentence: str) -> None:
    """One sentence says what happens to users on merge."""
    assert sentence in comment(*samples.every()[name])


def test_a_win_says_by_how_much_and_how_sure_in_one_sentence() -> None:
    """Verdict, dollars, both levels, the interval and its confidence are the first sentence."""
    assert (
        comment(samples.promote())
        .split("\n")[3]
        .startswith(
            "**Net benefit +$3,060 against version 3 in 7 test days ($47,124 → $50,184), between +$927 and +$5,193 "
            "with 95% confidence.** Merging moves"
        )
    )


@pytest.mark.parametrize("name", ["promote", "keep", "inconclusive", "rejected", "first", "same", "fork", "verified"])
def test_confidence_is_named_once(name: str) -> None:
    """One level of confidence, the one that the policy claims over all looks together; 99% is nowhere."""
    text = comment(*samples.every()[name])

    assert re.findall(r"[0-9.]+% confidence", text) == ["95% confidence"]
    assert "99%" not in text


def plain(text: str) -> str:
    """`text` without the characters that keep a figure on one line."""
    return text.replace("\u00a0", " ").replace("\u2060", "")


def test_a_metric_and_its_rules_are_one_row() -> None:
    """Both models, the difference, its interval and what all rules ask for."""
    row = "| ✅&nbsp;`f1` | 0.571 | 0.678 | **+0.107** | +0.076 to +0.138 | > 0.200, difference > −0.05 |"

    assert row.replace(">", "&gt;") in plain(comment(samples.promote()))


def test_a_cell_that_fails_carries_its_bound() -> None:
    """Who reads one cell alone knows that it failed, and at what."""
    text = plain(comment(samples.rejected()))

    assert "| **$39,104**, must be &gt; $40,000 |" in text
    assert "| **−$10,153 to −$5,887**, must be &gt; $0 |" in text
    assert "| **−$1,756 to +$2,510**, must be &gt; $0 |" in plain(comment(samples.inconclusive()))


def test_a_warning_is_shown_and_blocks_nothing() -> None:
    """The metric's row has another mark, its cell what it should be, and a line says that it is a warning."""
    text = plain(comment(samples.advised()))

    assert "## ✅ PROMOTE" in text and "Merging moves `@champion 3 → 4`" in text
    assert "| ⚠️&nbsp;`recall` | 0.481 | **0.625**, should be &gt; 0.700 | **+0.144** |" in text
    assert "- ⚠️ recall is 0.625 and should be &gt; 0.700: a warning, which blocks nothing" in text
    assert "| ✅&nbsp;`precision` |" in text
    assert is_green(samples.advised())


def test_the_comment_says_what_the_pull_request_changes() -> None:
    """Settings, the data's windows and files with their lines, each file linked to its changes."""
    text = comment(samples.promote(), links=Links(pull="https://github.com/o/r/pull/7"))

    assert "- `model.yaml`: `estimator` from `logistic_regression` to `random_forest`; " in text
    assert "tested on 2018-08-08 to 2018-08-14 (`as_of` was 2018-08-01)" in text
    digest = hashlib.sha256(b"models/fraud-detector/train.py").hexdigest()
    assert f"[`train.py`](<https://github.com/o/r/pull/7/files#diff-{digest}>) +14 −2" in plain(text)


def test_many_changes_are_five_lines_at_most() -> None:
    """Thirty settings and thirty files are counted, not listed."""
    changed = Changed(
        settings=tuple((f"parameters.p{i}", "1", "2") for i in range(30)),
        files=tuple(FileChange(path=f"f{i}.py", added=1, removed=1) for i in range(30)),
        more_files=12,
    )
    whole = samples.promote()
    text = comment(replace(whole, plan=whole.plan.model_copy(update={"changed": changed})))
    part = text.split("**What changes:**")[1].split("**Not judged")[0]

    assert len(part.strip().split("\n")) <= 5
    assert "and 25 more" in part and "and 36 more" in part


def test_the_comment_says_which_decisions_flip() -> None:
    """How many rows of each kind, and what they are worth."""
    assert (
        "**Decisions that flip:** 103 newly caught (+$6,210), 28 newly missed (−$2,955), 31 new false alarms (−$465), "
        "18 false alarms fewer (+$270)."
    ) in plain(comment(samples.promote()))


def test_the_comment_says_what_was_not_judged_and_why() -> None:
    """Slices that no rule looks at, and latency where it was not measured."""
    whole = samples.promote()
    text = comment(replace(whole, scores=samples.scores(latency_ms={})))

    assert "**Not judged:** slices by `weekend`, `amount_band` (shown, but no rule looks at them); latency (the" in text


@pytest.mark.parametrize(
    ("runner", "said"),
    [
        (None, "."),
        (Runner(timeout_minutes=5), "."),
        (Runner(runs_on="gpu", scored_on="gpu"), ", on gpu."),
        (
            Runner(scored_on="gpu"),
            ", the candidate on the workflow's own runner and the champion on gpu, so they do not compare.",
        ),
    ],
)
def test_latency_says_on_which_runner_it_was_measured(runner: Runner | None, said: str) -> None:
    """Where a model asks for one; two different ones are no comparison."""
    whole = samples.promote()
    text = comment(replace(whole, plan=whole.plan.model_copy(update={"runner": runner})))

    assert re.search(rf"Latency, which no rule looks at: [^\n]* ms{re.escape(said)}\n", text)


def test_exact_commands_to_look_and_to_undo() -> None:
    """The pull request's number and the version to go back to are filled in."""
    text = comment(samples.promote(), links=Links(pull="https://github.com/o/r/pull/7"))

    assert "\ngh pr checkout 7\npython scripts/retrain.py try fraud-detector\n" in text
    assert "\npython scripts/rollback.py fraud-detector --to 3\n" in text
    assert "rollback.py" not in comment(samples.keep())


@pytest.mark.parametrize("name", samples.every())
def test_every_figure_is_for_people(name: str) -> None:
    """No figure in any form is written with an exponent."""
    for text in (
        comment(*samples.every()[name]),
        report_html(samples.every()[name]),
        summary_line(samples.every()[name]),
    ):
        assert not re.search(r"\d[eE][+-]\d", re.sub(r"[0-9a-f]{12,}", "", text))


def test_a_fork_met_the_gate_alone() -> None:
    """Nothing in a fork's report speaks of a first champion, or of merging as a promotion."""
    text = comment(samples.fork())

    assert "## ☑️ GATE PASSED" in text and "no champion was challenged" in text
    assert "first champion" not in text and not is_green(samples.fork())


def test_the_foot_names_the_evidence() -> None:
    """The digest of the judgement that is shown; on a verified pin, the pin's own."""
    judged = samples.promote().evaluation

    assert judged is not None
    assert f"evidence `{judged.sha256}`</sub>" in comment(samples.promote())
    assert f"evidence `{samples.PIN_NEW.evidence}`</sub>" in comment(samples.verified())


def test_warnings_come_before_the_verdict() -> None:
    """What changes the meaning of the figures, or was rolled back, is read first."""
    text = comment(samples.reoffered())

    assert text.split("\n")[1] == "> [!WARNING]"
    assert text.index("rolled back on") < text.index("## ✅ PROMOTE")
    assert text.index("changes what is measured") < text.index("## ✅ PROMOTE")


def test_refusals_of_the_pull_request_come_first_and_block() -> None:
    """A refused pull request says so above a verdict that would have won."""
    text = comment(samples.promote(pinned=False), refusals=["it touches models/ together with scripts/: split it"])

    assert text.index("REFUSED") < text.index("PROMOTE")
    assert "Nothing is pinned because this pull request is refused; `@champion` stays 3." in text


def test_what_is_left_out_of_the_first_lines_is_counted() -> None:
    """A pull request of many mistakes: the first ones, how many there are besides, and all of them on the page."""
    refusals = [f"a link at models/{i}" for i in range(20)]
    told = replace(samples.promote(), plan=samples.model_plan(says_first=tuple(f"beware of {i}" for i in range(11))))
    text = comment(told, refusals=refusals)
    caution, warning = (part.split("\n\n")[0].splitlines() for part in text.split("> [!")[1:])

    assert (
        caution[-2:] == [">", "> and 12 more, in the full report"] and sum("REFUSED" in line for line in caution) == 8
    )
    assert warning[-2:] == [">", "> and 3 more, in the full report"] and sum("beware" in line for line in warning) == 8
    assert all(refusal in report_html([told], refusals=refusals) for refusal in refusals)
    assert "more, in the full report" not in comment(told, refusals=refusals[:8]).split("> [!WARNING]")[0]


def test_one_loser_keeps_every_model_unpinned() -> None:
    """With several models the overview names the one that lost."""
    text = comment(*samples.pair())

    assert "**Nothing is pinned because `chargeback-amount` lost.**" in text
    assert "Nothing is pinned because `chargeback-amount` lost; merging is blocked" in text


def test_a_winner_without_its_pin_is_not_green() -> None:
    """Until the pin is on the branch the tree must not reach main."""
    assert is_green(samples.promote())
    assert not is_green(samples.promote(pinned=False))
    assert "Not pinned yet" in comment(samples.promote(pinned=False))


def test_what_was_not_judged_is_an_error() -> None:
    """A planned model without any record fails closed."""
    missing = Reported(samples.model_plan())

    assert not is_green(missing)
    assert "## ⚠️ ERROR" in comment(missing)
    assert "its evaluation is missing" in comment(missing)


def test_a_rejection_says_by_how_much_it_missed() -> None:
    """Each failed floor is named with the distance to it."""
    text = comment(samples.rejected())

    assert "net benefit is $39,104 and must be &gt; $40,000, missed by $896; " in text
    assert "F1 is 0.187 and must be &gt; 0.200, missed by 0.013.**" in text


def test_inconclusive_says_what_the_set_can_show_and_the_days_needed() -> None:
    """The smallest difference and the days for a worthwhile one, from the record of the power."""
    text = comment(samples.inconclusive())

    assert "from $2,830 on (80% power); a worthwhile one ($1,000) needs about 19 days" in text
    assert "Look 5 of 5 on these test days, the last one" in text


def test_models_that_are_not_touched_are_left_out() -> None:
    """A repository of many models shows the one that the pull request is about."""
    text = comment(*[samples.untouched()] * 50, samples.promote())

    assert "## ✅ PROMOTE · `fraud-detector`" in text and "NOTHING" not in text


def test_a_verified_pin_beside_a_loser_is_blocked_too() -> None:
    """What merging would do is not promised while another model keeps the pull request red."""
    loser = samples.pair()[1]
    text = comment(samples.rollback(), loser)

    assert "Merging is blocked because `chargeback-amount` lost; unblocked, it means: `@champion 4 → 3`" in text


def test_a_pin_that_the_branch_brought_is_not_nothing() -> None:
    """Beside a rollback nothing waits for a pin, whatever another model did."""
    models = (samples.rollback(), samples.pair()[1])

    assert "## ❌ 1 of 2 models may not be merged" in comment(*models)
    assert "Nothing is pinned" not in comment(*models) + report_html(models)


@pytest.mark.parametrize("name", ["rollback", "verified", "retired"])
def test_nobody_is_told_to_merge_what_is_blocked(name: str) -> None:
    """A pin that the branch brought waits for the refusal, or for the model that lost, as a winner does."""
    (mine,) = samples.every()[name]

    assert "**Next:** Do what the refusal above says, then push again." in comment(mine, refusals=["split it"])
    assert "**Next:** This model waits for the others" in comment(mine, samples.pair()[1])
    assert "Review and merge" not in comment(mine, refusals=["split it"]) + comment(mine, samples.pair()[1])


def test_no_models_is_one_green_line() -> None:
    """A pull request without models is not bothered."""
    text = comment()

    assert text.split("\n")[1].startswith("✅ **Nothing to judge:**")
    assert comment(samples.untouched()) == text
    assert summary_line([]) == "No model changes in this pull request"


def test_lower_is_better_points_the_right_way() -> None:
    """For a cost, less is better: the bound is an upper one and a falling day is a gain."""
    text = plain(comment(samples.regression()))

    assert "| **−83.4 bed days** | −140.4 to −26.4 bed days | difference &lt; 0 bed days |" in text
    assert "| 2024-05-06 | 300.0 bed days | 280.0 bed days | −20.0 bed days |  | ████████████ |" in text


def test_the_same_records_give_the_same_bytes() -> None:
    """Rendering is pure."""
    plan = Plan.parse(samples.PLAN.text(), where="plan.json")

    assert comment_markdown([samples.keep()], plan=plan) == comment(samples.keep())


def test_whose_scripts_judged_is_at_the_foot_and_in_the_commands() -> None:
    """Where the repository has none of its own, the commands are those of a clone beside it, for its folder."""
    (reported,) = samples.every()["promote"]
    called = samples.PLAN.model_copy(update={"scripts": "acme/promotion at 0123456789ab", "own": False})
    inside = reported.plan.model_copy(update={"folder": "services/f/models/fraud-detector"})
    text = comment_markdown([replace(reported, plan=inside)], plan=called)
    page = report_html([replace(reported, plan=inside)], plan=called)

    assert "scripts of acme/promotion at 0123456789ab" in text.splitlines()[-1]
    assert "# ../promotion: a clone of acme/promotion at 0123456789ab" in text
    assert "python ../promotion/scripts/retrain.py try fraud-detector --root services/f" in text
    assert "python ../promotion/scripts/rollback.py fraud-detector --to 3 --root services/f" in text
    assert "scripts of acme/promotion at 0123456789ab" in page
    assert "python scripts/retrain.py try fraud-detector\n" in comment(reported)
