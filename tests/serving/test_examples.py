"""The image and the manifest that a reader copies: what they start, ask and mount is what serve.py has."""

import json
import re
from pathlib import Path

import pytest
import serve
import yaml
from promotion.serving.app import App
from promotion.serving.connection import Gate, Limits
from promotion.serving.server import GRACE_SECONDS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "serving"


def instructions():
    """(name, rest) of every instruction of the Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n", " ", (EXAMPLES / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


@pytest.fixture(scope="module")
def deployment():
    """The Deployment of the manifest."""
    documents = list(yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text()))
    assert [document["kind"] for document in documents] == ["Deployment", "Service"]
    assert documents[1]["spec"]["selector"] == documents[0]["spec"]["template"]["metadata"]["labels"]
    return documents[0]


def command():
    """What the image starts."""
    found = dict(instructions())
    return json.loads(found["ENTRYPOINT"]), json.loads(found["CMD"])


def test_the_image_copies_what_is_there_and_starts_what_parses():
    """Every copied path exists, every lock is installed by hash, and the command line is serve.py's."""
    for name, rest in instructions():
        if name == "COPY":
            assert all((ROOT / path).exists() for path in rest.split()[:-1]), rest
    run = next(rest for name, rest in instructions() if name == "RUN")
    entry, given = command()

    assert run.count("--require-hashes") == run.count(" -r ") == 2
    assert (ROOT / entry[1]).is_file()
    args = serve._parser().parse_args(entry[2:] + given)
    assert (args.host, args.port) == ("0.0.0.0", int(dict(instructions())["EXPOSE"]))


def test_the_manifest_starts_what_parses_and_asks_what_is_answered(deployment):
    """Arguments, ports, probes, volumes and grace agree with the server and the image."""
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    args = serve._parser().parse_args(command()[0][2:] + container["args"])
    app = App([], Gate(Limits()))
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("readiness", "liveness", "startup")}

    assert args.models == ["fraud-detector"]
    assert container["ports"][0] == {"name": "http", "containerPort": args.port}
    assert all(app.route(probe["path"])[1] and probe["port"] == "http" for probe in probes.values())
    assert probes["readiness"]["path"] == "/ping", "503 while nothing serves"
    assert probes["liveness"]["path"] == "/metrics", "200 whatever the registry does"
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > GRACE_SECONDS + wait
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    state = next(rest.partition("=")[2] for name, rest in instructions() if name == "ENV")
    assert state in {mount["mountPath"] for mount in container["volumeMounts"]}
