"""What the server takes: the files that the ledger confirms, and no other."""

import functools
import json
from types import SimpleNamespace

import pytest
from promotion.errors import PromotionError
from promotion.records.files import digest_files
from promotion.serving import following, worker
from promotion.serving.following import Follower, Served
from promotion.serving.loading import fetch
from promotion.serving.store import Local, Store
from sklearn.linear_model import LogisticRegression

from tests.support.attacks import attack
from tests.support.serving_world import ROWS, Models, confirm, constant

CANDIDATE = "who holds the candidate credentials"


@pytest.fixture
def world(tmp_path):
    """(models, store, the digest of version 1's files, a function that confirms a pin: version, digest)."""
    models = Models(tmp_path)
    saved = models.save(constant(1))
    models.register("m", saved, confirmed=False, digest="sha256:" + "0" * 64)
    confirmed = functools.partial(confirm, models.registry, "m")
    return models, Store(tmp_path / "store"), digest_files(saved), confirmed


def taken(world, **how):
    """Fetch version 1 as the server does."""
    models, store, _, _ = world
    return fetch(models.registry, models.registry.version("m", 1), store, **how)


def test_the_confirmed_pins_digest_counts_and_not_a_tag_beside_it(world):
    """The tag on the version says something else, which whoever may register can write."""
    _, _, digest, confirm = world
    confirm(1, digest)

    assert taken(world).digest == digest


@attack(CANDIDATE, "served: the tag on the version was believed, and it can be written")
def test_other_files_than_the_confirmed_ones_are_not_loaded(world, happened):
    """The champion's files are changed in the artifact store, and the version's own tag with them."""
    confirm = world[3]
    confirm(1, "sha256:" + "1" * 64)

    with pytest.raises(PromotionError, match=r"hash to .* that is pinned") as caught:
        taken(world)
    happened(str(caught.value))


@attack(CANDIDATE, "served within seconds")
def test_a_version_that_no_pin_names_is_not_loaded(world, happened):
    """Somebody moves @champion by hand to a version that main never pinned."""
    world[3](2, "sha256:" + "1" * 64)

    with pytest.raises(PromotionError, match="the ledger confirms no pin of it") as caught:
        taken(world)
    happened(str(caught.value))


def test_no_digest_no_service_unless_it_was_adopted(world):
    """An adopted champion whose pin has no digest is served, and any other is not."""
    _, _, digest, confirm = world
    confirm(1, None)
    with pytest.raises(PromotionError, match="without a digest"):
        taken(world)

    confirm(1, None, reason="adopt", height=2)
    assert taken(world).digest == digest


def test_files_that_no_model_has(world):
    """What a pin confirmed is served whatever today's reader says, with a note; what none confirms is not."""
    models, store, _, confirm = world
    odd = models.save(constant(0))
    (odd / "extra.bin").write_bytes(b"x")
    models.register("m", odd, confirmed=False)
    second = models.registry.version("m", 2)
    with pytest.raises(PromotionError, match=r"m version 2: the file `extra.bin` belongs to no model"):
        fetch(models.registry, second, store, "candidate")

    confirm(2, digest_files(odd))
    assert "this one was confirmed before" in fetch(models.registry, second, store).note


def test_a_model_of_which_the_ledger_knows_nothing(world):
    """@champion of a registry that was never adopted is not served: nothing says which files it should have."""
    with pytest.raises(PromotionError, match=r"confirms no pin of it.*promote\.py adopt"):
        taken(world)


def test_another_alias_serves_what_was_registered_with_a_digest(world):
    """@candidate has no pin: the digest that gate.py registered counts, and without one nothing is served."""
    models, store, _, _ = world
    models.register("m", models.save(constant(1)), confirmed=False)
    assert fetch(models.registry, models.registry.version("m", 2), store, "candidate").note is None

    run = models.registry.create_run("m", "by hand", {})
    models.registry.log_files(run.run_id, models.save(constant(1)), "model")
    third = models.registry.register("m", run, {})
    with pytest.raises(PromotionError, match="was registered without a digest"):
        fetch(models.registry, third, store, "candidate")


def test_a_version_has_answered_a_request_before_it_takes_over(world, monkeypatch):
    """What a first request has to make is made at load: the saved example is answered as requests are, two at once."""
    models, answered = world[0], []
    monkeypatch.setattr(
        worker.Scorer, "answers", lambda self, asked, real=worker.Scorer.answers: answered.append(real(self, asked))
    )
    fitted = LogisticRegression().fit(ROWS, ROWS.a > 0)
    models.register("ready", models.save(fitted, example=ROWS.head(70)))
    models.loaded("ready", 1)

    assert [[answer.status for answer in batch] for batch in answered] == [[200, 200]]


def test_a_server_that_lacks_a_library_says_which_line_to_install(tmp_path):
    """The model's own list is read; what is there in another version is not what is missing."""
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: seasons_loader\n")
    (tmp_path / "requirements.txt").write_text("numpy==0.1\nseasons==1.0\n")

    with pytest.raises(
        PromotionError, match=r"m version 2 needs seasons==1\.0, which .*`uv pip install seasons==1\.0`"
    ):
        worker.load({"folder": str(tmp_path), "label": "m version 2"})
    (tmp_path / "requirements.txt").write_text("numpy==0.1\n")
    with pytest.raises(ModuleNotFoundError, match="seasons_loader"):
        worker.load({"folder": str(tmp_path), "label": "m version 2"})


def test_a_version_that_was_left_while_it_was_fetched_does_not_take_over(world, tmp_path, monkeypatch):
    """The alias moves on during a slow download: the next poll comes at once, and only what it names then serves."""
    models, store, _, _ = world
    for number in (2, 3):
        assert models.register("m", models.save(constant(number - 2))) == number
    models.promote("m", 2)
    taken_over = []

    def install(local, unwanted):
        taken_over.append(local.version)
        return Served(local, SimpleNamespace(notes=[], damaged=False), loaded_at="now")

    def slow(*args):
        models.promote("m", 3)
        return fetch(*args)

    monkeypatch.setattr(following, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(following, "fetch", slow)
    follower = Follower(models.registry, "m", "champion", 60.0, store, install)

    assert follower.step() == 0.0 and taken_over == []
    assert follower.step() == 0.0 and taken_over == [3]
    assert follower.step() == 60.0 and follower.current.version == 3


def test_a_note_that_says_something_else_is_none(world):
    """Half a disk's bytes, another program's file: the server starts without what it says, and writes it anew."""
    store, digest, confirm = world[1:]
    confirm(1, digest)
    local = taken(world)
    store.remember("r", "champion", local)
    (note,) = store.root.glob("*.json")
    good = json.loads(note.read_text())
    assert store.recall("r", "m", "champion").version == 1
    for bad in (
        {"recent": [1]},
        {"recent": [None]},
        {"recent": "x"},
        {"digest": 1},
        {"version": True},
        {"version": "1"},
    ):
        note.write_text(json.dumps(good | bad))
        assert store.recall("r", "m", "champion") is None
        with store.incoming():
            pass
    for text in ("", "[]", "{", "null", "7"):
        note.write_text(text)
        assert store.recall("r", "m", "champion") is None
    store.remember("r", "champion", local)

    assert json.loads(note.read_text()) == good


def kept(store, digest):
    """A version with a file in the store."""
    folder = store._folder(digest)
    folder.mkdir()
    (folder / "MLmodel").touch()
    return Local("m", 1, None, digest, folder)


def test_files_that_served_long_ago_go_unless_another_alias_has_them(tmp_path):
    """Two servers of one store, one of which has moved on four times."""
    store = Store(tmp_path)
    locals_ = [kept(store, digest) for digest in "abcde"]
    store.remember("r", "candidate", locals_[0])
    for local in locals_:
        store.remember("r", "champion", local)

    assert [local.folder.exists() for local in locals_] == [True, False, True, True, True]
