"""The server's log: one line an event, key=value pairs."""

import json
import logging
from typing import Any

log = logging.getLogger("serve")


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write one line of key=value pairs, quoted where they hold spaces; what is None is left out."""
    pairs = [f"{key}={_value(value)}" for key, value in {"event": name, **fields}.items() if value is not None]
    log.log(level, " ".join(pairs))


def _value(value: Any) -> str:
    text = str(value)
    if text and not any(char in text for char in ' "=') and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=False)
