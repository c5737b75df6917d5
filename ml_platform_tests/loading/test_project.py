"""One broken file breaks one thing: all other assets stay, and it says itself what is wrong."""

import gc

import dagster as dg
import pytest

BROKEN = {
    "a misspelt word": (
        "bad/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        attributes:
          key: features/bad
          sqll: bad.sql
        """,
        "features/bad",
        ["bad/defs.yaml:4", "sqll: no such word", "sql (did you mean this?)"],
    ),
    "a misspelt word within": (
        "bad/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        attributes:
          key: features/bad
          sql: bad.sql
          partitions: {every: fortnight, start: 2010-01-01}
        """,
        "features/bad",
        ["bad/defs.yaml:5", "partitions.every", "'hour', 'day', 'week' or 'month'", "fortnight"],
    ),
    "a value of another kind": (
        "bad/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        attributes:
          key: features/bad
          sql: bad.sql
          keep_versions: many
        """,
        "features/bad",
        ["bad/defs.yaml:5", "keep_versions", "many"],
    ),
    "an unknown layer": (
        "bad/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        attributes:
          key: feature/bad
          sql: bad.sql
        """,
        "broken/bad_defs",
        ["bad/defs.yaml:3", "'feature' is no layer", "features (did you mean this?)"],
    ),
    "a syntax error": (
        "bad/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        attributes:
          key: [features
        """,
        "broken/bad_defs",
        ["bad/defs.yaml:", "the YAML cannot be read"],
    ),
    "an unknown type": (
        "bad/defs.yaml",
        """
        type: ml_platform.components.FeatureTabel
        attributes: {key: features/bad}
        """,
        "features/bad",
        ["bad/defs.yaml:1", "FeatureTabel"],
    ),
    "a missing SQL file": (
        "bad/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        attributes:
          key: features/bad
          sql: nowhere.sql
        """,
        "features/bad",
        ["bad/defs.yaml:1", "no file nowhere.sql"],
    ),
    "Python that fails": (
        "bad.py",
        """
        import dagster as dg

        raise RuntimeError("no such luck")
        """,
        "broken/bad",
        ["bad.py:3", "RuntimeError: no such luck"],
    ),
    "Python that cannot be parsed": ("bad.py", "def f(:\n", "broken/bad", ["bad.py:1"]),
}


def keys(project):
    """The assets that a loaded project can run."""
    graph = project.definitions.resolve_asset_graph()
    return {key.to_user_string() for key in graph.executable_asset_keys}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_leaves_every_other_asset_and_shows_as_itself(workshop, what):
    path, text, name, said = BROKEN[what]
    workshop.table("good")
    workshop.write(path, text)
    project = workshop.load()
    assert keys(project) == {"features/good", name}
    (broken,) = project.broken
    for part in said:
        assert part in str(broken), str(broken)
    node = project.definitions.resolve_asset_graph().get(dg.AssetKey.from_user_string(name))
    assert str(broken) in node.description


def test_all_that_is_wrong_in_a_declaration_is_told_at_once(workshop):
    workshop.write(
        "bad/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        attributes:
          key: features/bad
          sql: bad.sql
          freshness: {fail_after: 3}
          keep_versions: -1
        """,
    )
    (broken,) = workshop.load().broken
    assert "defs.yaml:5: freshness" in str(broken)
    assert "defs.yaml:6: keep_versions" in str(broken)


def test_in_a_list_only_the_broken_document_is_lost(workshop):
    workshop.write("many/one.sql", "SELECT 1 AS n")
    workshop.write(
        "many/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        attributes: {key: features/one, sql: one.sql}
        ---
        type: ml_platform.components.FeatureTable
        attributes: {key: features/two, sql: one.sql, colour: red}
        ---
        type: [
        ---
        type: ml_platform.components.FeatureTable
        attributes: {key: features/four, sql: one.sql}
        """,
    )
    project = workshop.load()
    assert keys(project) == {
        "features/one", "features/two", "broken/many_defs_line_7", "features/four",
    }  # fmt: skip
    assert [one.where.line for one in project.broken] == [5, 8]


def test_running_a_broken_asset_fails_with_its_message(workshop):
    workshop.write("bad/defs.yaml", BROKEN["a misspelt word"][1])
    project = workshop.load()
    job = project.definitions.resolve_implicit_global_asset_job_def()
    with pytest.raises(dg.Failure, match="sqll: no such word"):
        job.execute_in_process()


FOLDER = """
    type: dagster.DefsFolderComponent
    post_processing:
      assets:
        - target: "*"
          attributes: {owners: [team:shop], tags: {domain: retail}}
"""


def test_folder_settings_hold_for_what_is_whole_beside_what_is_broken(workshop):
    workshop.write("defs.yaml", FOLDER)
    workshop.table("good")
    workshop.write("bad/defs.yaml", "type: [")
    project = workshop.load()
    node = project.definitions.resolve_asset_graph().get(dg.AssetKey(["features", "good"]))
    assert (node.owners, node.tags["domain"]) == (["team:shop"], "retail")


def test_broken_folder_settings_leave_the_folder(workshop):
    workshop.write("defs.yaml", FOLDER.replace("owners", "owner"))
    workshop.table("good")
    project = workshop.load()
    assert keys(project) == {"features/good", "broken/defs"}


def test_the_first_of_two_declarations_of_a_key_stays(workshop):
    workshop.table("good", folder="a")
    workshop.table("good", folder="b")
    project = workshop.load()
    (broken,) = project.broken
    assert "features/good" in keys(project)
    assert "features/good is declared twice, first at" in broken.message
    assert str(broken.where.file).endswith("b/defs.yaml")


def test_tables_in_a_circle_are_broken_and_the_others_stay(workshop):
    workshop.table("a", "SELECT * FROM features.b")
    workshop.table("b", "SELECT * FROM features.a")
    workshop.table("good")
    project = workshop.load()
    assert keys(project) == {"features/a", "features/b", "features/good"}
    assert {one.where.file.parent.name for one in project.broken} == {"a", "b"}
    assert "features/a -> features/b -> features/a" in project.broken[0].message


def test_what_the_rest_refuses_is_left_out_and_told(workshop):
    workshop.table("good")
    workshop.write(
        "needy.py",
        """
        import dagster as dg

        @dg.asset(required_resource_keys={"telescope"})
        def stars(): ...
        """,
    )
    project = workshop.load()
    assert "features/good" in keys(project)
    (broken,) = project.broken
    assert "telescope" in broken.message


def test_the_editor_is_led_to_the_line_of_the_declaration(workshop):
    workshop.table("good")
    node = workshop.load().definitions.resolve_asset_graph().get(dg.AssetKey(["features", "good"]))
    (reference,) = node.metadata["dagster/code_references"].code_references
    assert reference.file_path.endswith("good/defs.yaml")
    assert reference.line_number == 1


def test_templates_in_a_declaration_are_filled_in(workshop, monkeypatch):
    monkeypatch.setenv("SHOP_OWNER", "team:shop")
    workshop.table("good", owners=["{{ env.SHOP_OWNER }}"])
    project = workshop.load()
    assert not project.broken, project.broken[0]
    node = project.definitions.resolve_asset_graph().get(dg.AssetKey(["features", "good"]))
    assert node.owners == ["team:shop"]


def test_a_declaration_may_name_template_variables_of_its_own(workshop):
    workshop.write(
        "good/names.py",
        """
        import dagster as dg

        @dg.template_var
        def domain():
            return "retail"
        """,
    )
    workshop.write("good/good.sql", "SELECT 1 AS n")
    workshop.write(
        "good/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        template_vars_module: .names
        attributes: {key: features/good, sql: good.sql, tags: {domain: "{{ domain }}"}}
        """,
    )
    project = workshop.load()
    assert not project.broken, project.broken[0]
    node = project.definitions.resolve_asset_graph().get(dg.AssetKey(["features", "good"]))
    assert node.tags["domain"] == "retail"


def test_a_documents_own_post_processing_holds_for_it_alone(workshop):
    workshop.table("other")
    workshop.write("good/good.sql", "SELECT 1 AS n")
    workshop.write(
        "good/defs.yaml",
        """
        type: ml_platform.components.FeatureTable
        attributes: {key: features/good, sql: good.sql}
        post_processing:
          assets: [{target: "*", attributes: {tags: {domain: retail}}}]
        """,
    )
    graph = workshop.load().definitions.resolve_asset_graph()
    tags = {key.path[-1]: graph.get(key).tags.get("domain") for key in graph.executable_asset_keys}
    assert tags == {"good": "retail", "other": None}


def test_checks_lead_the_editor_to_their_declaration_too(workshop):
    workshop.table("good")
    workshop.write(
        "checks/defs.yaml",
        """
        type: ml_platform.components.Checks
        attributes: {table: features/good, pandera: {min_rows: 1}}
        """,
    )
    project = workshop.load()
    assert not project.broken, project.broken[0]
    (check,) = project.definitions.resolve_asset_graph().asset_check_keys
    spec = project.definitions.resolve_asset_graph().get_check_spec(check)
    (reference,) = spec.metadata["dagster/code_references"].code_references
    assert reference.file_path.endswith("checks/defs.yaml")


def test_a_component_of_the_projects_own_is_linked_to_its_declaration(workshop):
    workshop.write(
        "own/kind.py",
        """
        import dagster as dg

        class Own(dg.Component, dg.Model, dg.Resolvable):
            name: str

            def build_defs(self, context):
                return dg.Definitions(assets=[dg.AssetSpec(["raw", self.name])])
        """,
    )
    workshop.write(
        "own/one/defs.yaml",
        f"""
        type: {workshop.package}.shop.own.kind.Own
        attributes: {{name: elsewhere}}
        """,
    )
    project = workshop.load()
    assert not project.broken, project.broken[0]
    node = project.definitions.resolve_asset_graph().get(dg.AssetKey(["raw", "elsewhere"]))
    (reference,) = node.metadata["dagster/code_references"].code_references
    assert reference.file_path.endswith("own/one/defs.yaml")


def test_an_unreadable_query_breaks_its_own_table_alone(workshop):
    workshop.table("good")
    workshop.table("bad")
    (workshop.shop / "bad" / "bad.sql").write_bytes(b"SELECT '\xff\xfe' AS n")
    project = workshop.load()
    assert keys(project) == {"features/good", "features/bad"}
    (broken,) = project.broken
    assert broken.name == ("features", "bad")


def test_loading_leaves_the_collection_of_garbage_as_it_was(workshop):
    workshop.table("good")
    assert gc.isenabled()
    workshop.load()
    assert gc.isenabled()
    gc.disable()
    try:
        workshop.load()
        assert not gc.isenabled()
    finally:
        gc.enable()
