"""What the rules rest on, and what models that always say the same would get: the record's figures as text."""

from collections.abc import Sequence
from dataclasses import dataclass

from promotion.rendering.reported import Reported
from promotion.rendering.rows import RuleRow
from promotion.rendering.sentences import spoken
from promotion.rendering.standings import Standing
from promotion.rendering.terms import Terms, unit_of
from promotion.text import figures as text


@dataclass(frozen=True)
class Rest:
    """What one challenge rule rests on, as text; exact: the interval's end is a bound that needs no resampling."""

    name: str
    differing: str
    largest: str
    without: str
    skew: str
    unseen: str
    exact: bool


def rests(rules: Sequence[RuleRow]) -> tuple[Rest, ...]:
    """The rules whose record says what they rest on."""
    found = []
    for row in rules:
        known = row.result.assumptions
        if known is None:
            continue
        found.append(
            Rest(
                name=row.name,
                differing=f"{text.count(known.differing)} of {text.count(known.clusters)}",
                largest=text.share(known.largest_share),
                without=text.figure(known.without_largest, row.unit, signed=True),
                skew=text.figure(known.skew, signed=True, digits=2),
                unseen=text.figure(known.unseen, row.unit),
                exact=bool(known.exact),
            )
        )
    return tuple(found)


def trivial(reported: Reported, standings: Sequence[Standing], terms: Terms) -> tuple[str, ...]:
    """`flag nobody: net benefit $0, F1 0.000`, of the metrics that rules look at on all rows."""
    evaluation = reported.evaluation
    names = dict.fromkeys(s.rules[0].result.metric or "" for s in standings if s.rules[0].result.slice is None)
    said = []
    for model in (evaluation.trivial if evaluation is not None else None) or ():
        values = [
            f"{spoken(name)} {text.figure(model.values[name], unit_of(reported, terms, name)[0])}"
            for name in names
            if name in model.values
        ]
        if values:
            said.append(f"{model.name}: {', '.join(values)}")
    return tuple(said)
