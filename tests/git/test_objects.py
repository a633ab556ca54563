"""Objects are read through one process of git, which may end, be forked from, or be asked by many threads."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from promotion.errors import PromotionError

from tests.support.worlds import World


def test_what_was_committed_meanwhile_is_read(no_champion: World) -> None:
    """The process that was begun before sees new commits; what is nowhere is None."""
    world = no_champion
    objects = world.repo.objects
    assert objects.tree_of(world.tip) is not None
    world.write("notes.md", "né\r\n")
    new = world.commit("notes")

    assert world.repo.file_at(new, "notes.md") == "né\r\n"
    assert world.repo.entry_at(new, "models/tiny") is not None
    assert objects.read("0" * 40) is None
    assert objects.read("HEAD\nHEAD") is None  # a name is no question of its own


def test_a_process_that_ended_is_begun_again(no_champion: World) -> None:
    """git that was killed is one sentence, and the next question has its answer."""
    world = no_champion
    objects = world.repo.objects
    first = objects.read(world.tip)
    objects._process.kill()  # type: ignore[union-attr]
    objects._process.wait()  # type: ignore[union-attr]

    with pytest.raises(PromotionError, match="could not read the object"):
        objects.read(world.tip)
    assert objects.read(world.tip) == first


def test_an_object_larger_than_it_may_be_is_refused(no_champion: World) -> None:
    """It is not read, and the next one is."""
    world = no_champion

    with pytest.raises(PromotionError, match="it may have 10"):
        world.repo.objects.read(world.tip, most=10)
    assert world.repo.objects.read(world.tip) is not None


def test_many_ask_at_once(no_champion: World) -> None:
    """Every thread gets the answer to its own question."""
    world = no_champion
    texts = [f"{number}\n" * number for number in range(40)]
    blobs = [world.repo.git("hash-object", "-w", "--stdin", stdin=text).strip() for text in texts]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(world.repo.objects.read, blobs))

    assert found == [("blob", text.encode()) for text in texts]


def test_a_forked_process_asks_a_git_of_its_own(no_champion: World) -> None:
    """What a child asks, and that it ends, does not disturb its parent's process."""
    world = no_champion
    objects = world.repo.objects
    first = objects.read(world.tip)
    child = os.fork()
    if child == 0:
        os._exit(0 if objects.read(world.tip) == first else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert objects.read(world.tip) == first
