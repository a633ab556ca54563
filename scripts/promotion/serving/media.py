"""The content type of a request, read as RFC 9110, section 8.3.1, says."""

import re

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
QUOTED = r'"(?:[^"\\]|\\.)*"'
# possessive (`*+`), so that a hostile header costs no more than its length
TYPE = re.compile(rf"[ \t]*({TOKEN})/({TOKEN})((?:[ \t]*+;[ \t]*+(?:{TOKEN}=(?:{TOKEN}|{QUOTED}))?+)*+)[ \t]*")
PARAMETER = re.compile(rf"({TOKEN})=({TOKEN}|{QUOTED})")


def canonical(header: str) -> str:
    """Return `type/subtype; name=value` as MLflow's server compares it; what is no media type comes back as it is.

    Case and the spaces around `;` do not matter, a value may be quoted, an empty parameter is none; MLflow reads
    neither, so every request is brought into this one form first.
    """
    match = TYPE.fullmatch(header) if len(header) <= 1000 else None
    if match is None:
        return header
    found = [f"{match[1]}/{match[2]}".lower()]
    for name, value in PARAMETER.findall(match[3]):
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        name = name.lower()
        found.append(f"{name}={value.lower() if name == 'charset' else value}")
    return "; ".join(found)


def plain(media: str, kind: str) -> bool:
    """Whether a canonical content type is `kind` in UTF-8, without any other parameter."""
    return media in (kind, f"{kind}; charset=utf-8")
