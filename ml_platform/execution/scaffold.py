"""What `dg scaffold defs` writes: a declaration that loads, with the files that it names."""

from typing import Any

import dagster as dg


class ExampleScaffolder(dg.Scaffolder[Any]):
    """Writes the component's own example, named after the folder that was asked for."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write defs.yaml and the files beside it; what is there already stays."""
        component = self._component(request.type_name)
        name = request.target_path.name
        example = {key: _named(value, name) for key, value in component.scaffold_example.items()}
        dg.scaffold_component(request, example)
        for file, content in component.scaffold_files.items():
            path = request.target_path / _named(file, name)
            if not path.exists():
                path.write_text(_named(content, name), encoding="utf-8")

    @staticmethod
    def _component(type_name: str) -> Any:
        import importlib

        module, _, attribute = type_name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


def _named(value: Any, name: str) -> Any:
    """The value with `NAME` replaced, however deep it stands."""
    if isinstance(value, str):
        return value.replace("NAME", name)
    if isinstance(value, dict):
        return {key: _named(inner, name) for key, inner in value.items()}
    if isinstance(value, list):
        return [_named(inner, name) for inner in value]
    return value
