"""Histories as real projects have them, for tests and for looking at."""

from promotion.records.charts import Flip
from promotion.records.figures import Estimate, Looks, RuleResult
from promotion.records.watched import Realized, Watched
from promotion.timeline import Claim, History, Look, Move, Tried

WEB = "https://github.com/octo/fraud"
COMMIT = "5b1c" * 10
WHEN = "2026-09-30T12:00:00+02:00"


def claim(difference: float | None, width: float = 2100.0, level: float = 50_184.0, week: str = "2026-08-15") -> Claim:
    """What a judgement, or a look, said about a week."""
    ends = None if difference is None else (difference - width, difference + width)
    return Claim(
        metric="net_benefit", unit="$", first=week, last=week[:8] + f"{int(week[8:]) + 6}",
        level=level, difference=difference, interval=ends, confidence=0.99,
    )  # fmt: skip


def tried(version: int | None, verdict: str | None, worth: Claim | None, pull: int | None, day: int) -> Tried:
    """A candidate that was judged on a day of August."""
    rejected = verdict == "REJECTED"
    return Tried(
        run=f"run{day}", at=f"2026-08-{day:02d}T09:31:00Z", version=version, verdict=verdict, rejected=rejected,
        reason="net_benefit 39,120 is not above 40,000" if rejected else "", promised=worth,
        pull=None if pull is None else f"{WEB}/pull/{pull}", begun=f"2026-08-{day:02d}T09:05:00+00:00",
    )  # fmt: skip


def move(at: str | None, before: int | None, version: int | None, reason: str, pr: int | None, **more: str) -> Move:
    """A move of @champion; the ledger's place is the pull request's number."""
    return Move(
        at=at, before=before, version=version, reason=reason, commit="c0ffee" + "0" * 34, pr=pr, subject="Retrain",
        author="Dana Scientist", by="dana (run 12)", note=more.get("note"), place=f"{pr or 99:08d}",
    )  # fmt: skip


def look(number: int, version: int, against: int, realized: Claim, verdict: str = "fine") -> Look:
    """A look after a merge."""
    return Look(
        number=number, version=version, against=against, first=realized.first, last=realized.last, verdict=verdict,
        reason=f"on the {7 * number} days since the promotion: {verdict}", realized=realized,
        at="2026-09-05T04:41:00Z", by="schedule",
    )  # fmt: skip


def fraud() -> History:
    """Everything happens: a first champion, two rejected, one that pays, one that does not and is taken back."""
    return History(
        model="fraud-detector",
        champion=3,
        moves=(
            move("2026-08-02T10:00:00Z", None, 1, "merge", 1),
            move("2026-08-04T10:12:00Z", 1, 3, "merge", 2),
            move("2026-08-20T08:00:00Z", 1, 3, "repair", None, note="alias moved by hand"),
            move("2026-09-01T11:00:00Z", 3, 4, "merge", 5),
            move("2026-09-20T11:00:00Z", 4, 3, "rollback", 6, note="the watch report says so"),
            move(None, 3, 7, "not applied", 8),
            move("2026-09-25T11:00:00Z", 3, 5, "override", 9, note="carol: the regulator's request"),
            move("2026-09-26T11:00:00Z", 5, 3, "rollback", 10),
        ),
        tried=(
            tried(1, "FIRST", claim(None, level=47_124), 1, 1),
            tried(None, "REJECTED", claim(-9000, level=38_120), None, 2),
            tried(3, "PROMOTE", claim(3060), 2, 3),
            tried(None, "REJECTED", None, 3, 4),
            tried(5, "KEEP", claim(-4980, level=42_144), 4, 5),
            tried(4, "PROMOTE", claim(5210), 5, 6),
            tried(6, "INCONCLUSIVE", claim(377), 7, 7),
            tried(None, None, None, 11, 8),
        ),
        looks={
            "00000002": (look(1, 3, 1, claim(2810, week="2026-08-12")), look(2, 3, 1, claim(3177, week="2026-08-24"))),
            "00000005": (
                look(1, 4, 3, claim(-900, week="2026-09-12")),
                look(2, 4, 3, claim(-6120, 2000, 39_870, "2026-09-19"), "worse"),
            ),
        },
        left=Looks(number=3, allowed=5),
        watch_looks=8,
    )  # fmt: skip


def every() -> dict[str, tuple[History, ...]]:
    """Histories by name: one model, many, none, and one whose ledger cannot be read."""
    quiet = History(model="diabetes-progression", champion=None)
    broken = History(model="churn", champion=2, trouble="the tag promotion.ledger.00000007 is not what was written")
    return {"one": (fraud(),), "many": (broken, quiet, fraud()), "none": ()}


def _days(first: str, last: str, days: int, champion: float, predecessor: float, width: float) -> Realized:
    difference = champion - predecessor
    return Realized(
        first=first, last=last, days=days, rows=9_800 * days, champion=Estimate(value=champion),
        predecessor=Estimate(value=predecessor),
        difference=Estimate(value=difference, interval=(difference - width, difference + width)),
    )  # fmt: skip


def watched() -> tuple[Watched, Look, Claim]:
    """A second look that finds the predecessor better, below a floor, after a judgement that promised more."""
    reason = (
        "on the 14 days since the promotion the predecessor is better: the champion's net benefit is −$6,120 in 7 days "
        "against it (95% confidence: −$8,120 to −$4,120)"
    )
    floor = RuleResult(
        rule="net_benefit > 40000", kind="floor", metric="net_benefit", value=39_870.0, bound=40_000.0, ok=False,
        reason="net_benefit $39,870 is not above $40,000",
    )  # fmt: skip
    passed = RuleResult(
        rule="f1 > 0.2", kind="floor", metric="f1", value=0.61, bound=0.2, ok=True, reason="f1 0.61 > 0.20"
    )
    found = Watched(
        model="fraud-detector", look=2, looks=8, verdict="worse", reason=reason, metric="net_benefit", unit="$",
        better="higher", test_days=7, per_days=7, confidence=0.95, false_alarm=0.05, tail=0.004, floors=(floor, passed),
        new=_days("2026-09-19", "2026-09-25", 7, 39_870, 47_124, 3_900),
        whole=_days("2026-09-12", "2026-09-25", 14, 41_300, 47_420, 2_000),
        flips=(
            Flip(kind="newly_caught", rows=31, dollars=2_204.0), Flip(kind="newly_missed", rows=118, dollars=-14_010.0),
            Flip(kind="new_false_alarm", rows=44, dollars=-660.0), Flip(kind="false_alarm_gone", rows=15, dollars=225),
        ),
    )  # fmt: skip
    seen = look(2, 4, 3, claim(-6120, 2000, 41_300, "2026-09-19"), "worse")
    return found, seen.model_copy(update={"evidence": "sha256:" + "5b1c" * 16}), claim(5210)


def alone() -> tuple[Watched, Look, Claim]:
    """A look at a first champion, which has nobody to be compared with, below a floor."""
    found, seen, _ = watched()
    level = Realized(
        first="2026-09-19", last="2026-09-25", days=7, rows=68_600,
        champion=Estimate(value=39_870.0, interval=(34_100.0, 45_640.0)),
    )  # fmt: skip
    changes = {"look": 1, "verdict": "floor missed", "new": level, "whole": level, "flips": None}
    one = seen.model_copy(update={"number": 1, "version": 1, "against": None})
    return found.model_copy(update=changes), one, claim(None, level=47_124)
