"""What every refusal of promote.py must be: one failed check, exit code 1, nothing written."""

from promotion.champion import apply as applying
from promotion.champion.checks import Permissions

from tests.support.worlds import World


def refused(world: World, check: str, *args: str, saying: str = "", allowed: Permissions | None = None) -> None:
    """Assert that exactly `check` fails, that apply exits with 1, and that nothing was written."""
    before = world.state()
    commit = args[args.index("--commit") + 1] if "--commit" in args else world.tip
    (planned,) = applying.plan_moves(world.repo, commit, world.registry, allowed)

    assert [one.name for one in planned.checks if not one.ok] == [check], planned.problems
    assert saying in planned.problems[0]
    assert world.apply(*args) == 1
    assert world.state() == before
