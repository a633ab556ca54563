"""The server's log: one line an event, key=value pairs."""

import json
import logging
import sys
import traceback
from typing import Any

log = logging.getLogger("serve")

MOST_TRACE = 4000  # characters


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write one line of key=value pairs, quoted where they hold spaces; what is None is left out."""
    pairs = [f"{key}={_value(value)}" for key, value in {"event": name, **fields}.items() if value is not None]
    log.log(level, " ".join(pairs))


def failure(what: str, error: BaseException | None = None) -> None:
    """Write what was raised (by default what is being handled) on one line, with the end of its traceback."""
    error = error or sys.exception()
    trace = "".join(traceback.format_exception(error))[-MOST_TRACE:]
    event("error", level=logging.ERROR, what=what, text=repr(error)[:500], trace=trace)


def _value(value: Any) -> str:
    text = str(value)
    if text and not any(char in text for char in ' "=') and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=False)
