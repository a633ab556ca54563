"""Adopt: a registry's own champions get pins, only with what is proven, and nothing moves."""

import sqlite3
import sys
from pathlib import Path

import pytest
from promotion.champion.adopt import POLICY, write_adopted
from promotion.config import promotion_yaml as config
from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.pullrequest.classify import Change, classify
from promotion.records.files import digest_files

from tests.support.worlds import World, sha

MODEL_FILES = "flavors: {}\n"


def by_hand(world: World, name: str, tags: dict[str, str] | None = None) -> int:
    """Register a version as people do without this project, and make it @champion."""
    run = world.registry.create_run(name, "by hand", {})
    folder = world.path.parent / f"files-{name}"
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(MODEL_FILES)
    world.registry.log_files(run.run_id, folder, "model")
    version = world.registry.register(name, run, tags or {}).version
    world.registry.set_alias(name, "champion", version)
    return version


def adopt(world: World, *args: str) -> int:
    return world.promote("adopt", *args)


def pins(world: World) -> dict[str, PinRecord | None]:
    return {name: entry.champion for name, entry in config.load(world.path / "promotion.yaml").models.items()}


def test_without_names_it_lists_and_writes_nothing(no_champion: World, capsys) -> None:
    """The plain command says what could be adopted."""
    by_hand(no_champion, "churn")
    by_hand(no_champion, "tiny")
    before = no_champion.read()

    assert adopt(no_champion) == 0

    out = capsys.readouterr().out
    assert "churn: @champion is version 1; it gets an entry" in out
    assert "tiny: @champion is version 1; its entry gets a pin" in out
    assert no_champion.read() == before


def test_null_pin_of_an_entry_is_filled_in(no_champion: World, capsys) -> None:
    """An entry that is there keeps its bytes and gets the pin, with the digest of the files as they are."""
    by_hand(no_champion, "tiny")
    before = no_champion.read()

    assert adopt(no_champion, "tiny") == 0

    pin = pins(no_champion)["tiny"]
    assert pin is not None and (pin.version, pin.adopted, pin.source_tree, pin.evidence) == (1, True, None, None)
    assert pin.digest == digest_files(no_champion.path.parent / "files-tiny")
    assert "tiny: version 1 is pinned as adopted; its source is not known here" in capsys.readouterr().out
    assert no_champion.read().split("champion:")[0] == before.split("champion:")[0]


def test_new_entry_has_a_policy_to_edit(no_champion: World) -> None:
    """A model without an entry gets one whose comments say what to make of it; others stay as they are."""
    by_hand(no_champion, "churn")
    before = no_champion.read()

    assert adopt(no_champion, "churn") == 0

    text = no_champion.read()
    assert text.startswith(before.rstrip("\n"))
    assert "adopted: edit this policy" in text and "# dollars:" in text
    assert pins(no_champion)["churn"] is not None and pins(no_champion)["tiny"] is None


def test_all_adopts_everything_and_touches_nothing_else(no_champion: World, capsys) -> None:
    """--all takes every champion that it can, and says which it cannot; the registry is only read."""
    by_hand(no_champion, "two words")
    for name in ("churn", "tiny", "uplift"):
        by_hand(no_champion, name)
    before = {name: no_champion.state(name) for name in ("churn", "tiny", "uplift")}

    assert adopt(no_champion, "--all") == 0

    assert (
        "two words: @champion is version 1; its name cannot be a model's here (at most 100" in capsys.readouterr().out
    )
    assert all(pin is not None and pin.adopted for pin in pins(no_champion).values())
    assert {name: no_champion.state(name) for name in before} == before


def test_all_adopts_the_others_where_one_cannot_be_read(no_champion: World, capsys) -> None:
    """A champion whose files lie where nobody can read them is refused with the reason; by name nothing is written."""
    for name in ("churn", "tiny"):
        by_hand(no_champion, name)
    client = no_champion.registry.client
    client.create_registered_model("afar")
    client.create_model_version("afar", "s3://bucket/model")
    client.set_registered_model_alias("afar", "champion", "1")
    before = no_champion.read()

    with pytest.MonkeyPatch.context() as patch:
        for library in ("boto3", "botocore"):
            patch.setitem(sys.modules, library, None)  # as if it were not installed
        assert adopt(no_champion, "afar") == 2
        assert "the package `boto3` is needed here" in capsys.readouterr().err
        assert no_champion.read() == before
        assert adopt(no_champion, "--all") == 1

    assert "could not download afar version 1, for which the package `boto3`" in capsys.readouterr().out
    assert set(pins(no_champion)) == {"churn", "tiny"} and all(pins(no_champion).values())


def test_a_version_that_is_not_ready_is_not_adopted(no_champion: World, capsys) -> None:
    """Its files may not be there yet: by name one sentence, among all a refusal, and nothing is written."""
    by_hand(no_champion, "tiny")
    with sqlite3.connect(no_champion.uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE model_versions SET status = 'PENDING_REGISTRATION'")
    before = no_champion.read()

    assert adopt(no_champion, "tiny") == 2
    assert "tiny: version 1 is not READY" in capsys.readouterr().err
    assert adopt(no_champion, "--all") == 1
    said = capsys.readouterr().out
    assert "REFUSED tiny: version 1 is not READY" in said and "nothing to adopt in" in said
    assert no_champion.read() == before


def test_proven_tree_is_written(foreign_champion: World) -> None:
    """A version that carries the tree of this very folder, with the same files, is pinned with its tree."""
    foreign_champion.code("theirs")
    foreign_champion.commit("their code")

    assert adopt(foreign_champion, "tiny") == 0

    pin = pins(foreign_champion)["tiny"]
    assert pin is not None
    assert pin.source_tree == foreign_champion.repo.object_at("HEAD", "models/tiny")


def test_tree_of_another_folder_is_not_claimed(foreign_champion: World) -> None:
    """Where the folder differs from what the version says it came from, nothing is claimed."""
    assert adopt(foreign_champion, "tiny") == 0
    pin = pins(foreign_champion)["tiny"]
    assert pin is not None and pin.source_tree is None


def test_adoption_is_verified_merged_and_recorded_without_a_move(no_champion: World) -> None:
    """The pull request is green and says that nothing moves; promote records the champion as adopted."""
    by_hand(no_champion, "tiny")
    by_hand(no_champion, "churn")
    base = no_champion.tip
    assert adopt(no_champion, "--all") == 0
    merge = no_champion.commit("Adopt (#3)")

    plan = classify(no_champion.repo, no_champion.registry, Change(base=base, merge=merge, head=merge))
    assert plan.refusals == ()
    assert {item.model: item.merge_effect for item in plan.models} == {
        "tiny": "nothing moves: @champion stays 1",
        "churn": "nothing moves: @champion stays 1",
    }
    assert no_champion.apply() == 0
    assert [no_champion.champion(name) for name in ("tiny", "churn")] == [1, 1]
    assert [entry.reason for entry in no_champion.ledger("tiny")] == ["adopt"]
    assert [entry.reason for entry in no_champion.ledger("churn")] == ["adopt"]


def test_later_pull_requests_leave_an_adopted_model_alone(no_champion: World) -> None:
    """A model that was adopted without a folder does not hold up other pull requests."""
    by_hand(no_champion, "churn")
    assert adopt(no_champion, "churn") == 0
    base = no_champion.commit("Adopt (#3)")
    no_champion.write("README.md", "hello")
    merge = no_champion.commit("docs")

    plan = classify(no_champion.repo, no_champion.registry, Change(base=base, merge=merge, head=merge))
    assert plan.refusals == () and {item.action for item in plan.models} == {"none"}


def test_retrain_challenges_the_adopted_champion(no_champion: World) -> None:
    """The next candidate is trained and has to win against the adopted version; then it is promoted."""
    by_hand(no_champion, "tiny")
    assert adopt(no_champion, "tiny") == 0
    base = no_champion.commit("Adopt (#3)")
    assert no_champion.apply() == 0
    adopted = no_champion.pinned()
    no_champion.code("two")
    merge = no_champion.commit("two")
    (item,) = classify(no_champion.repo, no_champion.registry, Change(base=base, merge=merge, head=merge)).models
    assert (item.action, item.champion) == ("train", adopted)
    no_champion.git("reset", "--quiet", "--hard", base)

    no_champion.merge("two")

    assert no_champion.apply() == 0
    assert no_champion.champion() == 2


def test_adopted_is_no_way_around_the_challenge(second_champion: World) -> None:
    """`adopted: true` on a version that is not the registry's own champion is refused in the pull request and after."""
    loser = second_champion.candidate("three", verdict="KEEP")
    second_champion.git("checkout", "--quiet", "--", ".")
    base = second_champion.tip
    second_champion.pin(loser.model_copy(update={"adopted": True, "evidence": None, "source_tree": None}))
    merge = second_champion.commit("sneak")

    plan = classify(second_champion.repo, second_champion.registry, Change(base=base, merge=merge, head=merge))
    assert any("adopted: true" in refusal for refusal in plan.refusals)
    assert second_champion.apply() == 1
    assert second_champion.champion() == 2


@pytest.mark.parametrize("name", ["tinny", "tiny"])
def test_nothing_to_adopt_is_a_sentence(first_champion: World, capsys, name: str) -> None:
    """An unknown model, and one that is pinned already, are told apart from what could be adopted."""
    assert adopt(first_champion, name) == 2
    assert "nothing to adopt" in capsys.readouterr().err


def test_champion_that_we_set_is_not_adopted(first_champion: World, capsys) -> None:
    """A champion of the ledger comes back by a rollback, not by adoption."""
    first_champion.pin(None)

    assert adopt(first_champion, "tiny") == 2
    assert "cannot be adopted" in capsys.readouterr().err


def test_first_file(new_world, tmp_path: Path) -> None:
    """Where there is no promotion.yaml yet, one is made, and it loads."""
    world = new_world()
    by_hand(world, "churn")
    (world.path / "promotion.yaml").unlink()

    assert adopt(world, "churn", "--task", "regression") == 0
    assert set(pins(world)) == {"churn"}
    assert world.read().startswith("# yaml-language-server")


PIN = PinRecord(version=7, source_tree=None, digest=sha("files"), evidence=None, adopted=True)
ENTRY = """\
  one:
    measure: {test_days: 7, delay_days: 7}
    gate: {f1: '> 0.2'}
    challenge: {confidence: 0.95, looks: 5, f1: superior}
    champion: null # none yet
"""


@pytest.mark.parametrize(
    "text",
    [
        None,
        "models: {}\n",
        "models: {} # none yet\nguard: {moves: 5}\n",
        "models:\n" + ENTRY,
        "models:\n" + ENTRY.rstrip("\n"),
        "models:\n" + ENTRY + "# the end\n",
        "models:\n" + ENTRY + "\nguard:\n  moves: 5\n",
        ("models:\n" + ENTRY).replace("\n", "\r\n"),
        "models:\n" + "".join(f"  {line}\n" for line in ENTRY.splitlines()),
    ],
)
@pytest.mark.parametrize("task", sorted(POLICY))
def test_entries_are_written_by_position(text: str | None, task: str) -> None:
    """Whatever the file looks like, the new entry loads, every old line stays, and line ends are the file's."""
    changed = write_adopted(text, {"churn": PIN}, task=task)

    assert config.parse(changed).models["churn"].champion == PIN
    for line in (text or "").replace(" {}", "").splitlines():
        assert line.rstrip() in [other.rstrip() for other in changed.splitlines()] or not line.strip()
    assert ("\r\n" in changed) == ("\r\n" in (text or "")) and "\n\r" not in changed


def test_models_in_braces_are_a_persons_work() -> None:
    """A flow mapping is not rewritten."""
    flow = (
        "models: {one: {measure: {test_days: 7, delay_days: 7}, gate: {f1: '> 0.2'}, "
        "challenge: {confidence: 0.95, looks: 5, f1: superior}, champion: null}}\n"
    )
    with pytest.raises(PromotionError, match="written in braces"):
        write_adopted(flow, {"churn": PIN})
