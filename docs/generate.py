"""Writes the reference pages from the code, or with --check says which are out of step (exit 1)."""

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click

from fluxforge_collector.cli import Commands, root
from fluxforge_collector.config.model import Config

REFERENCE = Path(__file__).parent / "reference"


def config_page():
    """Every key of the configuration: type, default, meaning."""
    schema = Config.model_json_schema()
    lines = ["# Configuration", "", "Written by `make docs` from the models.", ""]
    definitions = schema["$defs"]
    for name, section in {"Config": schema, **definitions}.items():
        lines += [f"## {name}", "", section.get("description", "").split("\n")[0], ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        for key, field in section.get("properties", {}).items():
            missing = "required" if key in section.get("required", ()) else "empty"
            default = json.dumps(field["default"]) if "default" in field else missing
            shown = "the section's own" if default.startswith("{") else default
            lines.append(f"| `{key}` | {kind(field)} | `{shown}` | {field.get('description', '').replace('|', '/')} |")
        lines.append("")
    return "\n".join(lines)


def kind(field):
    """The type of a field, in a few words."""
    if "$ref" in field:
        return field["$ref"].rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(kind(f) for f in field["anyOf"])
    if "enum" in field:
        return " or ".join(json.dumps(v) for v in field["enum"])
    if field.get("type") == "array":
        return f"list of {kind(field.get('items', {}))}"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"mapping to {kind(field['additionalProperties'])}"
    return field.get("const") or field.get("type", "any")


def commands_page():
    """Every command with its options, as `--help` prints them."""
    lines = ["# Commands", "", "Written by `make docs` from the commands' own help.", ""]
    context = click.Context(root, info_name="fluxforge")
    for name in Commands.list_commands(root, context):
        lines += describe(root.get_command(context, name), context, f"fluxforge {name}")
    return "\n".join(lines)


def describe(command, parent, path):
    """The help of a command and of what is below it."""
    context = click.Context(command, info_name=path.rsplit(" ", 1)[-1], parent=parent, max_content_width=100)
    lines = [f"## `{path}`", "", "```", command.get_help(context), "```", ""]
    for name in getattr(command, "commands", {}):
        lines += describe(command.commands[name], context, f"{path} {name}")
    return lines


def pages():
    """File name → text of every generated page."""
    made = {"config.md": config_page(), "commands.md": commands_page()}
    for entry in sorted(entry_points(group="fluxforge.pages")):
        made[f"{entry.name}.md"] = entry.load()()
    return {name: text.rstrip() + "\n" for name, text in made.items()}


def main():
    """Write or check the pages."""
    stale = []
    for name, text in pages().items():
        path = REFERENCE / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and stale:
        sys.exit(f"docs/reference is out of step: {', '.join(stale)} — run `make docs`")
    print(f"docs/reference: {'wrote ' + ', '.join(stale) if stale else 'in step'}")


if __name__ == "__main__":
    main()
