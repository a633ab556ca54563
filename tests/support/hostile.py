"""Text that wants to break out of a report, and a model whose every text is such."""

import re

from hypothesis import strategies as st
from promotion.records.charts import Drift
from promotion.records.evaluation import Trivial
from promotion.records.figures import Estimate, RuleResult
from promotion.records.plan import Changed, FileChange
from promotion.rendering import Reported

from tests.support import samples
from tests.support.sample_judgements import calibration

TRICKS = (
    "|",
    "\n",
    "\r\n",
    "\n\n# heading\n",
    "```",
    "~~~",
    "`",
    "\\",
    "\\|",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</details>",
    "<!-- promotion-report -->",
    "-->",
    "&lt;b&gt;",
    "&#64;",
    ":white_check_mark:",
    ":+1::100:",
    "@octocat",
    "@org/team",
    "`@x`",
    "#123",
    "GH-7",
    "o/r#4",
    "https://evil.example/",
    "www.evil.example",
    "[a](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "::error::boom",
    "::set-output name=a::b",
    "##[error]boom",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "$x$",
    "$`x`$",
    "\u202egnp.exe",
    "\u200b",
    "\ufeff",
    "\x00",
    "\x1b[31mred\x1b[0m",
    "\u0301" * 40,
    "- ",
    "1. ",
    "> ",
    "---",
    "*b*",
    "_i_",
    "~~s~~",
    "'\"",
    "𝒳" * 30,
    "long " * 300,
)
HOSTILE = st.lists(st.one_of(st.sampled_from(TRICKS), st.text(max_size=12)), min_size=1, max_size=6).map("".join)
EVERYTHING = " ".join(TRICKS)


def hostile_model(text: str) -> Reported:
    """A judged model with `text` wherever a record can carry text."""
    plain = samples.promote(pinned=False)
    rule = RuleResult(
        rule=text,
        kind="superior",
        metric=text,
        slice=text,
        value=1.0,
        bound=0.0,
        interval=(-1.0, 2.0),
        ok=None,
        reason=text,
    )
    part = samples.comparison("net_benefit", 1.0, 2.0, 3.0, unit=text, part=text).model_copy(update={"metric": text})
    missing = part.model_copy(update={"difference": Estimate(reason=text), "champion": Estimate(reason=text)})
    power = samples.power()[0].model_copy(update={"rule": text, "warning": text})
    day = samples.days(1.0, 2.0)[0].model_copy(update={"day": text})
    judged = plain.evaluation.model_copy(
        update={
            "model": text,
            "headline": text,
            "gate": (rule.model_copy(update={"kind": "floor"}),),
            "challenge": (rule,),
            "comparisons": (part.model_copy(update={"slice": None}), missing, part),
            "days": (day,),
            "power": (power,),
            "notes": (text, text),
            "warn": (rule.model_copy(update={"kind": "floor"}),),
            "trivial": (Trivial(name=text, values={text: 1.0}),),
            "curve": plain.evaluation.curve.model_copy(update={"metric": text}),
            "drift": (
                Drift(of="feature", column="x", psi=1.0, bins=()).model_copy(
                    update={"column": text, "bins": ((text, 0.1, 0.9),)}
                ),
            ),
            "calibration": calibration().model_copy(
                update={"candidate": calibration().candidate.model_copy(update={"slope": Estimate(reason=text)})}
            ),
            "release": text,
            "test": plain.evaluation.test.model_copy(update={"first": text, "digest": text}),
        }
    )
    changed = Changed(
        settings=((text, text, text), (text, None, text), (text, text, None), ("as_of", text, text)),
        files=(FileChange(path=text, added=1, removed=None),),
    )
    plan = samples.model_plan(
        model=text, reason=text, merge_effect=text, says_first=(text,), source_tree=text, changed=changed
    )
    scores = samples.scores(changes=(text,), latency_ms={text: 1.0})
    return Reported(plan, judged, plain.gate, plain.candidate, scores, error=text, log_tail=text * 3)


def outside_code(markdown: str, instead: str = "") -> str:
    """`markdown` with `instead` of its fenced blocks, code spans and `<code>` elements: nothing there is resolved."""
    kept, fence = [], None
    for line in markdown.split("\n"):
        mark = re.match(r"`{3,}", line)
        if fence is None and mark:
            fence = mark[0]
        elif fence is not None:
            fence = None if line == fence else fence
        else:
            kept.append(line)
    assert fence is None, "a fence is left open"
    text = re.sub(r"<code>[^<]*</code>", instead, "\n".join(kept))
    return re.sub(r"`[^`\n]+`", instead, text)
