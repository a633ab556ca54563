"""Several promoters at once: order is main's, not the clock's, and what is not guaranteed is repaired."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from promotion.registry.client import CHAMPION
from promotion.registry.ledger import KEY, read_ledger

from tests.proofs.faults.chaos import Chaos
from tests.proofs.faults.promoters import Promoters, promoters
from tests.proofs.faults.proxy import Answer, Fault, Proxy, Seen, proxy
from tests.support.mlflow_server import empty_database, mlflow_server
from tests.support.worlds import World

pytestmark = pytest.mark.slow  # `make test` has test_faults, on the same kind of server


@dataclass
class Stage:
    """A world on SQLite, served over HTTP behind a proxy, and a state to go back to."""

    world: World
    front: Proxy
    runs: Promoters
    url: str

    def restore(self, alias: int | None, tags: dict[str, str]) -> None:
        """Put @champion and all tags back."""
        for key in self.world.tags().keys() - tags.keys():
            self.world.registry.client.delete_registered_model_tag(self.world.model, key)
        self.world.set_champion(alias)
        self.front.reset()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server, a proxy and promoters, around a world whose version 1 is champion."""
    folder = tmp_path_factory.mktemp("stage")
    backend = empty_database(folder)
    world = World(folder / "repo", backend)
    world.merge("one")
    assert world.apply() == 0
    with mlflow_server(folder, backend) as url, proxy(url) as front, promoters() as runs:
        yield Stage(world, front, runs, url)


def requests_of_a_plain_apply(stage: Stage, commit: str) -> list[Seen]:
    """The requests that an undisturbed promoter of a commit makes."""
    pid = stage.runs.start(
        ["apply", "--repo", str(stage.world.path), "--commit", commit], {"MLFLOW_TRACKING_URI": stage.front.url}
    )
    assert stage.runs.wait(pid).code == 0
    return list(stage.front.seen)


def stalls_at(stage: Stage, commit: str, point: Seen, *, before: bool) -> tuple[int, threading.Event]:
    """Start a promoter that stalls at a request, before or after it reaches the registry; return it stalled."""
    reached, go = threading.Event(), threading.Event()

    def hold() -> bool:
        reached.set()
        return go.wait(120)

    def hold_answer(answer: Answer) -> Answer:
        hold()
        return answer

    fault = Fault(before=hold) if before else Fault(after=hold_answer)
    stage.front.reset(lambda seen: fault if seen.number == point.number else None)
    argv = ["apply", "--repo", str(stage.world.path), "--commit", commit]
    pid = stage.runs.start(argv, {"MLFLOW_TRACKING_URI": stage.front.url})
    assert reached.wait(60)
    return pid, go


def scenario(stage: Stage, five: str, six: str, points: list[tuple[Seen, bool]], last_reading: int) -> None:
    """The promoter of `five` stalls at each of the points while `six`, which reverts it, is applied to its end.

    last_reading: the number of the request from which on the undisturbed promoter has seen its own alias.
    """
    alias, tags = stage.world.state()
    try:
        for point, before in points:
            where = f"{'before' if before else 'after'} {point.number} {point.name}"
            stage.restore(alias, tags)
            late, go = stalls_at(stage, five, point, before=before)
            argv = ["apply", "--repo", str(stage.world.path), "--commit", six]
            reverting = stage.runs.wait(stage.runs.start(argv, {"MLFLOW_TRACKING_URI": stage.url}))
            assert reverting.code == 0, where
            assert stage.world.champion() == alias, where

            go.set()
            ended = stage.runs.wait(late)

            assert ended.code == 0, f"{where}: {ended.output}"
            if point.number < last_reading:  # from there on it was champion, and says so, before `six` came
                assert "a newer pin than this commit's was confirmed and stands" in ended.output, where
            assert stage.world.champion() == alias, f"{where}: {ended.output}"
            entries = stage.world.ledger()
            assert entries[-1].commit == six, where
            assert entries[-1].stands, where
            again = stage.world.apply("--commit", five)
            assert (again, stage.world.champion()) == (1, alias), where
    finally:
        stage.restore(alias, tags)


@pytest.fixture(scope="module")
def five_and_six(stage: Stage) -> tuple[str, str, list[Seen]]:
    """Main pins version 2 and reverts it; nobody applied either. And the requests of applying the first."""
    world = stage.world
    alias, tags = world.state()
    world.merge("two")
    five = world.tip
    six = world.revert(five)
    stage.restore(alias, tags)
    points = requests_of_a_plain_apply(stage, five)
    assert world.champion() == 2
    stage.restore(alias, tags)
    return five, six, points


def test_a_stalled_promoter_does_not_undo_a_rollback(stage: Stage, five_and_six: tuple[str, str, list[Seen]]) -> None:
    """Commit 5 pins and its promoter stalls; 6 reverts and finds nothing to move; the alias stays or returns."""
    five, six, points = five_and_six
    writes = [point for point in points if point.is_write]
    assert len(writes) == 3

    # after its last write the promoter of `five` has confirmed it: then `six` moves the alias back by itself
    stalls = [(point, True) for point in writes] + [(point, False) for point in writes[:2]]
    scenario(stage, five, six, stalls, points[-3].number)


def test_a_stalled_promoter_at_every_request(stage: Stage, five_and_six: tuple[str, str, list[Seen]]) -> None:
    """The same with a stall before and after every single request of the settling."""
    five, six, points = five_and_six
    first = next(i for i, seen in enumerate(points) if seen.path.endswith("registered-models/get"))

    stalls = [(point, before) for point in points[first:] for before in (True, False)]
    scenario(stage, five, six, stalls[:-1], points[-3].number)


def test_a_late_write_is_recorded(stage: Stage, five_and_six: tuple[str, str, list[Seen]]) -> None:
    """An alias write that was under way while the revert was confirmed shows for a moment; the repair says so."""
    five, six, points = five_and_six
    alias, tags = stage.world.state()
    (write,) = [point for point in points if point.path.endswith("registered-models/alias")]
    late, go = stalls_at(stage, five, write, before=True)
    argv = ["apply", "--repo", str(stage.world.path), "--commit", six]
    assert stage.runs.wait(stage.runs.start(argv, {"MLFLOW_TRACKING_URI": stage.url})).code == 0
    go.set()
    assert stage.runs.wait(late).code == 0

    (repair,) = stage.world.repairs()
    assert (repair.before, repair.version, repair.cause) == (2, 1, "a write of an older commit came late")
    assert [entry.version for entry in stage.world.ledger() if entry.stands] == [1, 1]
    stage.restore(alias, tags)


@pytest.fixture(scope="module")
def twenty(stage: Stage) -> list[str]:
    """Twenty commits, each of which changes the pin: retrained, reverted, retrained again."""
    world, commits = stage.world, []
    for number in range(20):
        if number % 5 == 4:
            world.revert(world.tip)
        else:
            world.merge(f"candidate {number}")
        commits.append(world.tip)
    return commits


def chaos(stage: Stage, commits: list[str], seed: int) -> None:
    """Run twenty promoters into trouble and hold what they leave against what is guaranteed."""
    alias, tags = stage.world.state()
    pins = {commit: pin for commit in commits if (pin := stage.world.pinned_at(commit)) is not None}
    newest = pins[commits[-1]]
    try:
        mess = Chaos(stage.world, stage.front, stage.runs, seed)
        mess.run(commits)
        assert len(mess.met) > 10
        last = mess.finish(mess.start(commits[-1], trouble=False))
        assert last.code == 0, last.output
        for promoter in mess.promoters:
            assert promoter.ended is not None
            assert promoter.ended.code in (0, 1, -9), promoter.ended.output
            assert "Traceback" not in promoter.ended.output

        ledger = stage.world.ledger()
        assert stage.world.champion() == newest.version
        assert ledger[-1].commit == commits[-1]
        assert ledger[-1].stands
        for entry in ledger[len(tags) // 2 :]:
            assert (entry.version, entry.digest) == (pins[entry.commit].version, pins[entry.commit].digest)
            assert entry.height == stage.world.height(entry.commit)
        confirmed = min(write.at for write in mess.writes if write.key == ledger[-1].reached_key)
        late = [write for write in mess.writes if write.key is None and write.at > confirmed]
        for write in late:
            if mess.promoters[write.promoter].began > confirmed:
                assert write.version == newest.version
        old = mess.finish(mess.start(commits[3], trouble=False))
        assert (old.code, stage.world.champion()) == (1, newest.version)
    finally:
        stage.restore(alias, tags)


@pytest.mark.parametrize("seed", range(1, 10))
def test_twenty_promoters(stage: Stage, twenty: list[str], seed: int) -> None:
    """Twenty promoters of different commits, held, stopped, killed and restarted at random points."""
    chaos(stage, twenty, seed)


def test_the_ledgers_keys_are_unique(stage: Stage, twenty: list[str]) -> None:
    """One key for each first-parent commit: that is why no change can be there twice."""
    heights = [stage.world.height(commit) for commit in twenty]

    assert len(set(heights)) == len(twenty)
    assert all(KEY.fullmatch(entry.key) for entry in read_ledger(stage.world.tags()))
    assert stage.world.registry.model(stage.world.model).aliases[CHAMPION] == 1  # type: ignore[union-attr]
