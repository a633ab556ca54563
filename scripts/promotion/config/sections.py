"""What the schemas of promotion.yaml and model.yaml are made of.

A section of a file is a class; a key of it is one annotated line with its docstring. From that come the typed
value, the JSON schema for editors (schema.py), and the sentence for a mistake (mistakes.py).
"""

import ast
import functools
import inspect
import itertools
import sys
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, Field, GetCoreSchemaHandler
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from promotion.frozen import Frozen

Text = Annotated[str, Field(pattern=r"\S", title="text")]
COLUMN = "[A-Za-z_][A-Za-z0-9_]{0,63}"
Column = Annotated[str, Field(pattern=f"^{COLUMN}$", title="a column name")]
MODEL_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
NAMES = "at most 100 letters, digits, `.`, `_` and `-`, a letter or digit first"
ModelName = Annotated[
    str, Field(pattern=f"^{MODEL_NAME}$", title="a model name: letters, digits, `.`, `_` and `-` only")
]
RunnerLabel = Annotated[
    str,
    Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        title="a runner's label: letters, digits, `.`, `_` and `-` only",
    ),
]


class Section(Frozen):
    """A mapping in a file; the docstring below a key is its description for editors."""


def must(what: str, *words: str) -> PydanticCustomError:
    """The error of a value that is not `what`, to be raised in a validator; words: what may have been meant.

    With words, a key beside it may have been meant too: `loks: 5` among rules.
    """
    return PydanticCustomError("must", "{what}", {"what": what, "words": words})


def says(sentence: str, *, of_key: bool = False) -> PydanticCustomError:
    """An error whose whole sentence, after the key's name, is `sentence`; of_key: of the key, not of its value."""
    return PydanticCustomError("says", "{what}", {"what": sentence, "of_key": of_key})


class Listed:
    """Marks a list: `what` it must be in words; with `most`, at most so many values and all different."""

    def __init__(self, what: str, *, most: int | None = None) -> None:
        self.what = what if most is None else f"{what} (at most {most}, all different)"
        self.most = most

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner: Any = handler(source)
        inner["strict"] = False  # YAML and JSON have lists, no tuples

        def check(value: Any, checked: Callable[[Any], Any]) -> Any:
            if not isinstance(value, list | tuple):
                raise must(self.what)
            found = checked(value)
            if self.most is not None and (len(found) > self.most or len(set(found)) != len(found)):
                raise must(self.what)
            return found

        return core_schema.no_info_wrap_validator_function(check, inner)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> JsonSchemaValue:
        limits = {} if self.most is None else {"maxItems": self.most, "uniqueItems": True}
        return {**handler(schema), **limits, "title": self.what}


class Mapped:
    """Marks a field whose file form is `form`, turned into the field's type by `make(checked, as written)`."""

    def __init__(self, form: Any, make: Callable[[Any, Any], Any]) -> None:
        self.form, self.make = form, make

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = handler.generate_schema(self.form)
        return core_schema.no_info_wrap_validator_function(lambda raw, check: self.make(check(raw), raw), inner)


class EditorSchema(GenerateJsonSchema):
    """JSON schema without the titles that pydantic invents, and with names of keys as `propertyNames`."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Only titles that somebody wrote."""
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """A section, without its class's name, its keys described by their docstrings."""
        found = super().model_schema(schema)
        if found.get("title") == schema["cls"].__name__:
            del found["title"]
        for key, text in docstrings(schema["cls"]).items():
            if key in found.get("properties", {}):
                found["properties"][key]["description"] = text
        return found

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """A key that may be left out is left out, not empty."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """A default that says something."""
        found = super().default_schema(schema)
        if found.get("default") in (None, []):
            found.pop("default", None)
        return found

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """A mapping whose keys all follow one pattern."""
        found = super().dict_schema(schema)
        patterns = found.pop("patternProperties", None)
        if patterns is not None:
            (values,) = patterns.values()
            found |= {"propertyNames": self.generate_inner(schema["keys_schema"]), "additionalProperties": values}
        return found


def docstrings(section: type[BaseModel]) -> dict[str, str]:
    """The docstring below each key of a section.

    pydantic can read them too (`use_attribute_docstrings`), but for every class, at every start, from the sources.
    """
    found: dict[str, str] = {}
    for one in reversed(section.__mro__):
        if issubclass(one, Section):
            body = next(node.body for node in _classes(one.__module__) if node.name == one.__name__)
            for key, below in itertools.pairwise(body):
                if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name) and isinstance(below, ast.Expr):
                    found[key.target.id] = inspect.cleandoc(ast.literal_eval(below.value))
    return found


@functools.cache
def _classes(module: str) -> tuple[ast.ClassDef, ...]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return tuple(node for node in tree.body if isinstance(node, ast.ClassDef))


@functools.cache
def editor_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a file."""
    return model.model_json_schema(schema_generator=EditorSchema)
