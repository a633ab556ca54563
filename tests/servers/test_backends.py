"""The same promotion on PostgreSQL with S3 behind it, with and without the server in between."""

import os
from pathlib import Path

import pytest

from tests.support.running import run
from tests.support.worlds import World

boto3 = pytest.importorskip("boto3", reason="`make test-servers` installs requirements/servers.txt")

pytestmark = pytest.mark.servers


def whole_story(world: World) -> None:
    """First champion, better one, again without a write, rollback, repair."""
    assert world.apply() == 0
    world.merge("two")
    assert world.apply() == 0
    before = world.state()
    assert before[0] == 2
    assert world.apply() == 0
    assert world.state() == before
    world.revert(world.tip)
    assert world.apply() == 0
    assert world.champion() == 1
    world.set_champion(None)
    assert world.apply() == 0
    assert world.champion() == 1
    assert [(entry.version, entry.reason) for entry in world.ledger()] == [(1, "merge"), (2, "merge"), (1, "rollback")]
    assert [repair.cause for repair in world.repairs()] == ["alias gone"]


@pytest.mark.usefixtures("without_s3")
def test_through_the_server(proxied: str, folder: Path) -> None:
    """Artifacts through the server: the promoter holds no S3 credentials."""
    world = World(folder, proxied, ("through",))
    world.merge("one")

    whole_story(world)


@pytest.mark.usefixtures("s3_client")
def test_straight_to_s3(direct: str, folder: Path) -> None:
    """Artifacts straight from S3: the promoter downloads the files again and checks them."""
    world = World(folder, direct, ("straight",))
    world.merge("one")

    whole_story(world)


@pytest.mark.usefixtures("s3_client")
def test_files_changed_in_s3(direct: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An object that was overwritten in the bucket is found, and nothing moves."""
    world = World(folder, direct, ("changed",))
    world.merge("one")
    version = world.registry.version("changed", 1)
    assert version is not None
    key = version.source.removeprefix("s3://models/") + "/MLmodel"
    client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    client.put_object(Bucket="models", Key=key, Body=b"another model")

    assert world.apply() == 1
    assert world.state() == (None, {})
    assert "changed after the pin was made" in capsys.readouterr().out


@pytest.mark.usefixtures("without_s3")
def test_no_s3_credentials(direct: str, folder: Path, tmp_path: Path, bucket: dict[str, str]) -> None:
    """Without credentials for the bucket it is a refusal with the reason, and nothing moves."""
    world = World(folder, direct, ("closed",))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in bucket.items():
            patch.setenv(name, value)
        world.merge("one")
    endpoint = bucket["MLFLOW_S3_ENDPOINT_URL"]
    ran = run(world, tmp_path, "apply", MLFLOW_S3_ENDPOINT_URL=endpoint, AWS_EC2_METADATA_DISABLED="true")

    assert ran.code == 1, ran.err
    assert world.state() == (None, {})
    assert "files: the files of version 1 cannot be read" in ran.out
    assert "Traceback" not in ran.everything
