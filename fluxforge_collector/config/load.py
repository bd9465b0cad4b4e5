"""Reading the configuration: defaults, then the file, then the environment; every mistake becomes one clear error."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import ConfigError

PREFIX = "FLUXFORGE__"
FILE_VARIABLE = "FLUXFORGE_CONFIG"
FILE_SUFFIX = "_file"
DEFAULT_FILE = Path("fluxforge.yaml")

_SECTION = "must be a section, with its keys indented below it"
_PLAINLY = {
    "missing": "is missing",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": _SECTION,
    "model_type": _SECTION,
}
"""What pydantic says in words of Python, in words of YAML."""


class Loaded(NamedTuple):
    """A configuration, and where each value that is no default came from (dotted key → file or variable)."""

    config: Config
    origins: dict[str, str]
    file: Path | None


def load_config(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """The effective configuration. Raises: ConfigError with the key and the remedy."""
    return load_with_origins(path, environment).config


def load_with_origins(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Loaded:
    """The effective configuration and the origin of each value. Raises: ConfigError."""
    file = find_file(path, environment)
    values = read_file(file) if file else {}
    origins = {key: str(file) for key, _ in flatten(values)}
    for variable in sorted(v for v in environment if v.startswith(PREFIX)):
        keys = variable.removeprefix(PREFIX).lower().removesuffix(FILE_SUFFIX).split("__")
        _set(values, keys, _value(environment[variable], variable, keys[-1]), variable)
        dotted = ".".join(keys)
        origins = {k: v for k, v in origins.items() if not k.startswith(f"{dotted}.")} | {dotted: f"${variable}"}
    try:
        return Loaded(Config.model_validate(values), origins, file)
    except ValidationError as error:
        where = str(file) if file else "the configuration"
        raise ConfigError(describe(error, Config, origins, where), "see `fluxforge config schema`") from None


def find_file(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The file to read: the one named, else `$FLUXFORGE_CONFIG`, else `./fluxforge.yaml` where it exists."""
    named = path or (Path(environment[FILE_VARIABLE]) if environment.get(FILE_VARIABLE) else None)
    if named is None:
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    try:
        is_there = named.is_file()
    except OSError as error:  # such as a directory that only others may enter
        raise ConfigError(f"cannot read {named}: {error.strerror}", "check the file and its permissions") from None
    if not is_there:
        raise ConfigError(f"no configuration file {named}", "name an existing file, or copy fluxforge.example.yaml")
    return named


def read_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises: ConfigError where it cannot be read or is no mapping."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", "check the file and its permissions") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise ConfigError(f"{path} is not valid YAML{line}: {problem}", "correct that line") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no sections", "start from fluxforge.example.yaml")
    return values


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every leaf."""
    for key, value in values.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{dotted}.")
        else:
            yield dotted, value


def describe(error: ValidationError, model: type[BaseModel], origins: Mapping[str, str], where: str) -> str:
    """One line for the first mistakes: key, what is wrong, the nearest known key, where it came from."""
    lines = []
    for detail in error.errors(include_url=False)[:3]:
        keys = [str(k) for k in detail["loc"]]
        dotted = ".".join(k for k in keys if not _is_branch(k))
        origin = next((o for k, o in origins.items() if k == dotted or k.startswith(f"{dotted}.")), where)
        if detail["type"] == "extra_forbidden":
            known = sorted(_fields_at(model, keys[:-1]))
            near = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(known)}"
            lines.append(f"unknown key {dotted!r} in {origin}{hint}")
        else:
            message = _PLAINLY.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
            lines.append(f"{dotted or 'configuration'} in {origin}: {message}")
    return "; ".join(lines)


def _is_branch(part: str) -> bool:
    """Whether a part of pydantic's location names a branch of a union, not a key."""
    return part[:1].isupper() or part.startswith(("tuple[", "literal[", "function-", "str", "int", "float"))


def _fields_at(model: type[BaseModel], keys: list[str]) -> set[str]:
    """The known keys of the section at a path of keys."""
    fields = model.model_fields
    for key in keys:
        if key in fields:
            annotation = fields[key].annotation
        elif _is_branch(key) or isinstance(annotation, type):
            continue
        for candidate in (annotation, *get_args(annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                fields = candidate.model_fields
    return set(fields)


def _set(values: dict[str, Any], keys: list[str], value: Any, variable: str) -> None:
    """Put a value at a path of keys, making sections on the way. Raises: ConfigError on a path through a value."""
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigError(f"${variable} reaches into {key!r}, which is no section", "correct the variable's name")
    values[keys[-1]] = value


def _value(text: str, variable: str, name: str) -> Any:
    """What a variable says: a value written as YAML, a secret as it is, or the text of a file that a `…_FILE` names."""
    if not variable.lower().endswith(FILE_SUFFIX):
        return (text or None) if name in _secrets(Config) else _parse(text, variable)
    try:
        return Path(text).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"${variable} names {text}, which cannot be read: {why}", "check path and rights") from None


def _parse(text: str, variable: str) -> Any:
    """A value of the environment, written as YAML. Raises: ConfigError."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"${variable} is not valid YAML", "quote the value") from None


@cache
def _secrets(model: type[BaseModel]) -> frozenset[str]:
    """Names of the fields of a section, and of those below it, that hold secrets."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        for kind in _kinds(field.annotation):
            if kind is SecretStr:
                found.add(name)
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= _secrets(kind)
    return frozenset(found)


def _kinds(annotation: Any) -> Iterator[Any]:
    """An annotation and what it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)
