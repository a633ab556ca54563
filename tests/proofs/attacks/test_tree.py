"""The tree: what is reviewed, trained from, pinned and promoted is one and the same folder of plain files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from promotion.config.edit import splice
from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.git.tree import export

from tests.proofs.attacks.planting import (
    FILE,
    FOLDER,
    LINK,
    PROGRAM,
    SUBMODULE,
    blob,
    commit,
    honest_lines,
    planned,
    tree,
)
from tests.support.attacks import attack
from tests.support.mlflow_server import empty_database
from tests.support.worlds import World

AUTHOR = "an author, with a branch"
Happened = Callable[[str], None]
# name -> lines beside the honest ones, made from (a blob, a tree, a commit of this repository)
ODD = {
    "a link": lambda one, folder, old: [(LINK, b"data.py", one)],
    "a link that leads outside": lambda one, folder, old: [(LINK, b"z", one)],
    "a submodule inside": lambda one, folder, old: [(SUBMODULE, b"lib", old)],
    "a group-writable file": lambda one, folder, old: [("100664", b"z.py", one)],
    "a mode with a leading zero": lambda one, folder, old: [("0100644", b"z.py", one)],
    "a folder's mode with a leading zero": lambda one, folder, old: [("040000", b"z", folder)],
    "a mode that nobody knows": lambda one, folder, old: [("100000", b"z.py", one)],
    "a control character": lambda one, folder, old: [(FILE, b"z\n.py", one)],
    "an escape": lambda one, folder, old: [(FILE, b"z\x1b[2J.py", one)],
    "a direction mark": lambda one, folder, old: [(FILE, "z\u202eyp.py".encode(), one)],
    "a zero-width joiner": lambda one, folder, old: [(FILE, ".g\u200cit".encode(), one)],
    "another spelling": lambda one, folder, old: [(FILE, "zé.py".encode().replace("é".encode(), b"e\xcc\x81"), one)],
    "no UTF-8": lambda one, folder, old: [(FILE, b"z\xff.py", one)],
    "a backslash": lambda one, folder, old: [(FILE, b"z\\..\\..\\x.py", one)],
    "a colon": lambda one, folder, old: [(FILE, b"z.py:stream", one)],
    "git's own folder": lambda one, folder, old: [(FOLDER, b".git", folder)],
    "git's own folder in capitals": lambda one, folder, old: [(FOLDER, b".GIT", folder)],
    "git's own folder by its short name": lambda one, folder, old: [(FOLDER, b"git~1", folder)],
    "the folder above": lambda one, folder, old: [(FOLDER, b"..", folder)],
    "this folder": lambda one, folder, old: [(FOLDER, b".", folder)],
    "a path for a name": lambda one, folder, old: [(FILE, b"../../z.py", one)],
    "a device": lambda one, folder, old: [(FILE, b"nul.py", one)],
    "a device with a superscript": lambda one, folder, old: [(FILE, "com¹.txt".encode(), one)],
    "a name that ends with a dot": lambda one, folder, old: [(FILE, b"train.py.", one)],
    "a name that ends with a blank": lambda one, folder, old: [(FILE, b"train.py ", one)],
    "an option for a name": lambda one, folder, old: [(FILE, b"-rf", one)],
    "the same name in capitals": lambda one, folder, old: [(FILE, b"TRAIN.PY", one)],
    "the same name twice": lambda one, folder, old: [(FILE, b"train.py", one)],
    "compiled Python": lambda one, folder, old: [(FOLDER, b"__pycache__", folder)],
    "a compiled module": lambda one, folder, old: [(FILE, b"train.pyc", one)],
    "no name": lambda one, folder, old: [(FILE, b"", one)],
}


def odd_folder(world: World, form: str) -> str:
    """A model folder with one odd thing in it."""
    one, old = blob(world, b"../../scripts"), world.tip
    folder = tree(world, [(FILE, b"x.py", one)])
    lines = [*honest_lines(world), *ODD[form](one, folder, old)]
    return tree(world, sorted(lines, key=lambda line: line[1] + (b"/" if line[0].endswith("40000") else b"")))


def around(world: World, folder: str, mode: str = FOLDER) -> str:
    """`models` with this as the model's folder."""
    return tree(world, [(mode, world.model.encode(), folder)])


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Version 1 is @champion; shared by the attacks that only plan, which leave main and the registry alone."""
    folder = tmp_path_factory.mktemp("attacked")
    world = World(folder / "repo", empty_database(folder))
    world.merge("one")
    assert world.apply() == 0
    return world


@attack(AUTHOR, "trained and pinned")
@pytest.mark.parametrize("form", ODD)
def test_something_odd_in_the_folder(champion: World, tmp_path: Path, happened: Happened, form: str) -> None:
    """A link, a submodule, an odd mode or an odd name lies in a model folder."""
    world = champion
    plan, work = planned(world, commit(world, around(world, odd_folder(world, form))), tmp_path)

    assert plan.refusals
    assert [item.action for item in plan.models] == ["refuse"]
    assert not list(work.rglob("source"))
    happened(f"refused: {plan.refusals[0]}")


@attack(AUTHOR, "@champion moved")
@pytest.mark.parametrize("form", ["a link", "a submodule inside", "the same name in capitals", "a group-writable file"])
def test_something_odd_is_promoted(
    first_champion: World, capsys: pytest.CaptureFixture[str], happened: Happened, form: str
) -> None:
    """A pin for a folder with something odd in it, evidence and all, reaches main."""
    world = first_champion
    folder = odd_folder(world, form)
    pin = world.version(folder, "odd", champion=world.pinned())
    made = commit(world, around(world, folder), pinned=splice(world.read(), {world.model: pin}))
    world.git("update-ref", "refs/heads/main", made)
    before = world.state()

    assert world.apply() == 1
    assert world.state() == before
    out = capsys.readouterr().out
    assert "tree: " in out
    happened(out)


@attack(AUTHOR, "a traceback, or the submodule's commit was pinned as a tree")
@pytest.mark.parametrize("mode", [SUBMODULE, LINK, FILE])
def test_the_folder_is_something_else(champion: World, tmp_path: Path, happened: Happened, mode: str) -> None:
    """A submodule, a link or a file stands where the model's folder was."""
    world = champion
    target = world.tip if mode == SUBMODULE else blob(world, b"../scripts")
    plan, _ = planned(world, commit(world, around(world, target, mode)), tmp_path)

    assert [item.action for item in plan.models] == ["refuse"]
    happened(f"refused: {plan.refusals[0]}")


@attack(AUTHOR, "a traceback or a green check")
@pytest.mark.parametrize("mode", [SUBMODULE, LINK, FILE])
def test_models_itself_is_something_else(champion: World, tmp_path: Path, happened: Happened, mode: str) -> None:
    """A submodule, a link or a file stands where the folder of all models was."""
    world = champion
    target = world.tip if mode == SUBMODULE else blob(world, b"../scripts")
    plan, _ = planned(world, commit(world, target, mode), tmp_path)

    assert plan.refusals
    happened(f"refused: {plan.refusals[0]}")


@attack(AUTHOR, "@champion moved to a version whose tree is a commit")
def test_a_submodule_is_pinned(first_champion: World, capsys: pytest.CaptureFixture[str], happened: Happened) -> None:
    """Main's model folder is a submodule, and the pin's source tree is the commit that it names."""
    world = first_champion
    pin = world.version(world.tip, "submodule", champion=world.pinned())
    models = around(world, world.tip, SUBMODULE)
    world.git("update-ref", "refs/heads/main", commit(world, models, pinned=splice(world.read(), {world.model: pin})))

    assert world.apply() == 1 and world.champion() == 1
    happened(capsys.readouterr().out)


@attack(AUTHOR, "green: nobody looked")
@pytest.mark.parametrize("mode", [LINK, SUBMODULE])
def test_a_link_beside_the_models(champion: World, tmp_path: Path, happened: Happened, mode: str) -> None:
    """A link or a submodule lies below models/, and no entry names it."""
    world = champion
    target = world.tip if mode == SUBMODULE else blob(world, b"../scripts")
    models = tree(world, [(mode, b"shared", target), (FOLDER, b"tiny", world.git("rev-parse", "main:models/tiny"))])
    plan, _ = planned(world, commit(world, models), tmp_path)

    assert len(plan.refusals) == 1
    happened(f"refused: {plan.refusals[0]}")


@attack(AUTHOR, "its text was read as the policy")
def test_promotion_yaml_is_a_link(first_champion: World, tmp_path: Path, happened: Happened, capsys) -> None:
    """promotion.yaml is a link whose target is written like a promotion.yaml."""
    world = first_champion
    lines = []
    for line in world.git("ls-tree", "main").splitlines():
        meta, name = line.split("\t")
        mode, _, one = meta.split()
        lines.append((LINK if name == "promotion.yaml" else mode.lstrip("0"), name.encode(), one))
    made = world.git("commit-tree", tree(world, lines), "-p", "main", "-m", "link")
    with pytest.raises(PromotionError, match="not a plain file"):
        planned(world, made, tmp_path)
    world.git("update-ref", "refs/heads/main", made)

    assert world.apply() == 2
    happened(capsys.readouterr().err)


@attack(AUTHOR, "its commit's fields were read wrongly, and the run ended in a traceback")
@pytest.mark.parametrize("mark", ["\x1f", "\x1e", "\x1f\x1e\x1f"])
def test_separators_in_a_subject(first_champion: World, tmp_path: Path, happened: Happened, mark: str) -> None:
    """A commit's subject holds the characters that once parted the fields of a log."""
    world = first_champion
    world.code("two")
    world.write("promotion.yaml", world.read() + f"# {len(mark)}\n")
    made = world.commit(f"a{mark}b")
    world.git("update-ref", "refs/heads/main", "HEAD~1")
    plan, _ = planned(world, made, tmp_path)
    world.git("update-ref", "refs/heads/main", made)

    assert plan.models[0].action == "train"
    assert world.promote("plan") == 0
    happened("read as it is: the model is trained like any other")


@attack("an author, where the checkout has filters", "other bytes than the reviewed ones were trained from")
@pytest.mark.parametrize(
    "attributes",
    [
        "* filter=evil",
        "* text eol=crlf",
        "* ident",
        "* working-tree-encoding=UTF-16",
        "train.py export-ignore",
        "* export-subst",
        "* merge=evil diff=evil",
    ],
)
def test_attributes_change_what_is_exported(
    first_champion: World, tmp_path: Path, happened: Happened, attributes: str
) -> None:
    """Git attributes ask for a filter, line ends, an encoding, keywords or export rules."""
    world, ran = first_champion, tmp_path / "ran"
    for name in ("smudge", "clean", "process"):
        world.git("config", f"filter.evil.{name}", f"touch {ran}; cat")
    world.git("config", "merge.evil.driver", f"touch {ran}; true")
    world.git("config", "diff.evil.textconv", f"touch {ran}; cat")
    world.git("config", "core.fsmonitor", f"touch {ran}")
    world.git("config", "core.autocrlf", "true")
    content = b"# $Id$ $Format:%H$\none\ntwo\n"
    lines = [(FILE, b".gitattributes", blob(world, attributes.encode())), (PROGRAM, b"train.py", blob(world, content))]
    made = commit(world, around(world, tree(world, lines)))
    (world.path / ".gitattributes").write_text(attributes)
    (world.path / "models/tiny/.gitattributes").write_text(attributes)
    (world.path / ".git/info").mkdir(exist_ok=True)
    (world.path / ".git/info").mkdir(exist_ok=True)
    (world.path / ".git/info/attributes").write_text(attributes)
    ran.unlink(missing_ok=True)
    plan, work = planned(world, made, tmp_path)

    assert plan.models[0].action == "train"
    source = work / "tiny/candidate/source"
    assert (source / "train.py").read_bytes() == content
    assert {path.name for path in source.iterdir()} == {".gitattributes", "train.py"}
    assert not ran.exists()
    happened("the very bytes that were reviewed; no program ran")


@attack("whoever can write to the clone", "the replacement was trained from")
def test_a_replaced_object(first_champion: World, tmp_path: Path, happened: Happened) -> None:
    """A reference below refs/replace puts another blob in the place of the reviewed one."""
    world = first_champion
    honest, evil = world.git("rev-parse", "main:models/tiny/train.py"), blob(world, b"evil\n")
    world.git("update-ref", f"refs/replace/{honest}", evil)
    source = export(Repo(world.path), world.git("rev-parse", "main:models/tiny"), tmp_path / "source")

    assert (source / "train.py").read_text() == "# one\n"
    happened("the reviewed blob was written")


@attack(AUTHOR, "hours and gigabytes")
def test_a_tree_that_unfolds(champion: World, tmp_path: Path, happened: Happened) -> None:
    """Twelve small trees, each ten times in the next, are a million million files."""
    world = champion
    folder = tree(world, [(FILE, b"x", blob(world, b"x"))])
    for _ in range(12):
        folder = tree(world, [(FOLDER, str(number).encode(), folder) for number in range(10)])
    plan, _ = planned(world, commit(world, around(world, folder)), tmp_path)

    assert plan.refusals
    happened(f"refused: {plan.refusals[0]}")


@attack("who may push tags", "promote applied the tag's commit")
@pytest.mark.parametrize("tag", ["main", "origin/main", "remotes/origin/main", "refs/remotes/origin/main"])
def test_a_tag_that_is_called_like_main(
    champion_and_better_candidate: World, host, happened: Happened, tag: str
) -> None:
    """A tag has the name of the production branch and points at a commit that nobody merged."""
    world = champion_and_better_candidate
    hosted = host(world)
    world.git("checkout", "--quiet", "-b", "evil")
    pin = PinRecord(version=2, source_tree=world.git("rev-parse", "main~1:models/tiny"), digest=None, evidence=None)
    world.pin(world.pinned_at("main~1"))
    world.commit("what nobody merged")
    world.git("push", "--quiet", "origin", f"evil:refs/tags/{tag}")
    world.git("checkout", "--quiet", "main")
    hosted.git("fetch", "--quiet", "--tags", "origin")
    import promote

    assert pin.version == 2 and promote.main(["apply", "--repo", str(hosted.clone)]) == 0
    assert world.champion() == 2
    happened("promote applied the branch")


def test_a_plain_folder_is_exported_as_it_is(champion: World, tmp_path: Path) -> None:
    """The honest way: folders in folders, a program, names with blanks and letters of any language."""
    world = champion
    inner = tree(
        world, [(FILE, "größe und maß.csv".encode(), blob(world, b"a,b\r\n")), (PROGRAM, b"run.sh", blob(world, b""))]
    )
    top = tree(
        world,
        [
            (FILE, b".gitignore", blob(world, b"x\n")),
            (FOLDER, b"data", inner),
            (FILE, b"train.py", blob(world, b"\xff\0")),
        ],
    )
    source = export(Repo(world.path), top, tmp_path / "source")

    assert {path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob("*") if path.is_file()} == {
        ".gitignore": b"x\n", "data/größe und maß.csv": b"a,b\r\n", "data/run.sh": b"", "train.py": b"\xff\0"
    }  # fmt: skip
    assert (source / "data/run.sh").stat().st_mode & 0o111
