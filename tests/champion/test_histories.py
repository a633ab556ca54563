"""The history of all models: what the page is made of, in a number of requests that does not grow."""

from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from promotion.champion.desired import Main, current_state
from promotion.champion.history import histories
from promotion.champion.watching import standing
from promotion.registry.client import Registry
from promotion.registry.watched import look_key, read_looks
from promotion.timeline import Claim, History, Look

from tests.support.worlds import World

WON = Claim(
    metric="net_benefit", unit="$", first="2026-08-01", last="2026-08-07", level=50_000.0, difference=3_000.0,
    interval=(1_000.0, 5_000.0), confidence=0.99,
)  # fmt: skip


def of(world: World) -> dict[str, History]:
    """The histories by model."""
    return {found.model: found for found in histories(Main(world.repo, world.tip), world.registry)}


def judged(world: World, number: int, **tags: str) -> None:
    """Let the run of a version say how it was judged."""
    version = world.registry.version(world.model, number)
    assert version is not None and version.run_id is not None
    world.registry.tag_run(version.run_id, {"gate": "passed", "version": str(number), **tags})


def test_a_promotion_knows_what_was_promised_and_how_long_it_took(second_champion: World) -> None:
    """The run of the version says it; one that says less is known less."""
    world = second_champion
    judged(world, 1, verdict="FIRST")
    judged(world, 2, verdict="PROMOTE", promised=WON.tag(), begun="2026-01-01T00:00:00Z", pull="https://x/pull/2")
    found = of(world)["tiny"]
    first, second = found.moves

    assert [(move.before, move.version, move.reason) for move in found.moves] == [(None, 1, "merge"), (1, 2, "merge")]
    assert found.judged_as(2) is not None and found.judged_as(2).promised == WON
    assert found.took(first) is None
    assert found.took(second) is not None and found.took(second).days > 100
    assert found.champion == 2 and found.promotion == second


def test_what_is_no_tag_of_ours_is_not_known(second_champion: World) -> None:
    """Nonsense in a tag is None, never a guess or a crash."""
    judged(second_champion, 1, promised="nonsense", begun="yesterday")
    judged(second_champion, 2, promised='{"metric": 7}', begun="2026-01-01")
    found = of(second_champion)["tiny"]

    assert [(one.promised, one.begun, one.verdict) for one in found.tried] == [(None, None, None)] * 2


def test_a_rejected_candidate_counts_though_no_version_exists(first_champion: World) -> None:
    """Its run is all that there is of it."""
    judged(first_champion, 1, verdict="FIRST")
    tags = {"gate": "REJECTED", "gate_reason": "f1 0.1 is not above 0.2", "verdict": "REJECTED"}
    first_champion.registry.create_run("tiny", "bad", tags)
    found = of(first_champion)["tiny"]

    assert (len(found.tried), found.rejected) == (2, 1)
    assert found.tried[1].version is None and found.tried[1].reason == "f1 0.1 is not above 0.2"


def test_a_pin_that_nobody_applied_is_told(champion_and_better_candidate: World) -> None:
    """Merged, and promote did not run yet."""
    assert [move.reason for move in of(champion_and_better_candidate)["tiny"].moves] == ["merge", "not applied"]


def test_a_model_that_main_names_no_more_keeps_its_history(second_champion: World) -> None:
    """Also where its folder is still there, so that nothing is retired; another repository's model is not told."""
    world = second_champion
    theirs = world.ledger()[0]
    world.registry.client.create_registered_model("theirs")
    world.registry.set_model_tag("theirs", theirs.key, theirs._replace(commit="7" * 40).text())
    world.write("promotion.yaml", "models: {}\n")
    world.commit("its entry is gone")
    assert world.apply() == 0
    (partly,) = of(world).values()
    world.git("rm", "-rq", "models/tiny")
    world.commit("and its folder")
    assert world.apply() == 0
    (found,) = of(world).values()

    assert (partly.model, partly.champion, partly.watch_looks) == ("tiny", 2, None)
    assert [move.reason for move in partly.moves] == ["merge", "merge"]
    assert found.champion is None and [move.reason for move in found.moves] == ["merge", "merge", "retire"]


def test_a_look_belongs_to_its_promotion(second_champion: World) -> None:
    """Keyed by the promotion's place in the ledger; a tag of somebody else's is passed over."""
    world = second_champion
    place = of(world)["tiny"].moves[1].place
    look = Look(
        number=1, version=2, against=1, first="2026-08-08", last="2026-08-14", verdict="fine", reason="fine",
        realized=WON,
        at="2026-08-22T00:00:00Z", by="schedule",
    )  # fmt: skip
    world.registry.set_model_tag("tiny", look_key(place, 1), look.tag())
    world.registry.set_model_tag("tiny", look_key(place, 2), "nonsense")
    found = of(world)["tiny"]

    assert found.seen(found.moves[1]) == (look,) and found.seen(found.moves[0]) == ()
    assert read_looks({look_key(place, 1): look.tag().replace('{"', '{"later":1,"', 1)}) == {place: (look,)}


def test_an_unreadable_ledger_is_one_models_trouble(new_world: Callable[..., World]) -> None:
    """The other models are told all the same."""
    world = new_world("one", "two")
    for model in world.models:
        world.merge("first", model)
    assert world.apply() == 0
    world.registry.set_model_tag("one", "promotion.ledger.00000001", "nonsense")
    found = of(world)

    assert found["one"].trouble is not None and found["one"].moves == ()
    assert found["two"].trouble is None and len(found["two"].moves) == 1


def test_what_somebody_wrote_where_a_time_should_be_ends_no_history(
    second_champion: World, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A move at no known time is shown as it is, an odd repair passed over, and a look says what it lacks."""
    world, newest = second_champion, second_champion.ledger()[-1]
    for key, value in {
        newest.key: newest._replace(at="soon").text(),
        newest.reached_key: '{"at": "later", "by": "x"}',
        f"promotion.repair.{newest.height:08d}.001": '{"before":"x","version":[],"at":5,"by":"x","cause":"x"}',
    }.items():
        world.registry.set_model_tag("tiny", key, value)
    judged(world, 2, verdict="PROMOTE", begun="2026-01-01T00:00:00Z")
    (found,) = of(world).values()
    main = Main(world.repo, world.tip)
    entry, state = main.promotion.models["tiny"], current_state(world.registry.model("tiny"))

    assert world.promote("history", "tiny") == 0
    assert world.promote("history", "--html", str(tmp_path / "page.html")) == 0
    assert world.promote("audit", "tiny") == 0
    capsys.readouterr()
    assert world.promote("history", "tiny", "--at", "2126-09-01") == 0
    assert "version 1, since" in (said := capsys.readouterr().out)
    assert said.endswith("; the ledger says 'later' where it should say when version 2 became champion\n")
    assert [(move.version, move.at is None) for move in found.moves] == [(1, False), (2, False)]
    assert found.took(found.moves[-1]) is None
    assert "says 'later' where it should say when" in standing(main, entry, state, "tiny", date(2026, 9, 1)).why


class _Counting:
    """MLflow's client, counting what it is asked."""

    def __init__(self, client: Any) -> None:
        self.client, self.calls = client, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self.client, name)


@pytest.mark.parametrize("count", [1, 6])
def test_as_many_requests_for_six_models_as_for_one(new_world: Callable[..., World], count: int) -> None:
    """One listing of models, one of experiments, one of runs."""
    world = new_world(*(f"m{number}" for number in range(count)))
    for model in world.models:
        world.merge("first", model)
    assert world.apply() == 0
    registry = Registry(world.uri)
    counting = _Counting(registry.client)
    registry._client = counting
    found = histories(Main(world.repo, world.tip), registry)

    assert len(found) == count and all(len(one.moves) == 1 for one in found)
    assert counting.calls == Counter(search_registered_models=1, search_experiments=1, search_runs=1)


def test_the_page_is_one_command(second_champion: World, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`history --html FILE` writes it; with a model, or without either, it says what is wrong."""
    page = tmp_path / "pages" / "history.html"

    assert second_champion.promote("history", "--html", str(page)) == 0
    assert "1 → 2" in page.read_text(encoding="utf-8")
    assert second_champion.promote("history", "tiny", "--html", str(page)) == 2
    assert second_champion.promote("history") == 2
    assert "which model? give its name" in capsys.readouterr().err
