"""`Report` in a project: a page of queries, pictures and rows."""

from pathlib import Path

import pytest


def page(workshop, *sections):
    workshop.table("a", "SELECT range AS n, range * 2 AS twice FROM range(30)")
    workshop.declare(
        "Report", "report", key="reports/r", title="Sold & <kept>", sections=list(sections)
    )
    return workshop.run()


def html(workshop):
    return Path(workshop.metadata("reports/r")["dagster/uri"]).read_text()


def test_a_page_has_its_texts_rows_and_pictures_and_needs_nothing_else(workshop):
    rows = {"heading": "Rows", "text": "All of it.", "sql": "FROM features.a", "rows": 3}
    chart = {
        "heading": "Picture",
        "sql": "FROM features.a",
        "chart": {"kind": "line", "x": "n", "y": ["twice"]},
    }
    assert page(workshop, rows, chart).success
    made = html(workshop)
    assert "Sold &amp; &lt;kept&gt;" in made
    assert made.count("<tr>") == 4
    assert "and 27 rows more" in made
    assert 'src="data:image/png;base64,' in made
    assert "http" not in made.replace("http-equiv", "")
    assert "features/a" in made
    assert "data:image/png" in workshop.metadata("reports/r")["preview"]


def test_what_is_in_the_data_cannot_become_markup(workshop):
    page(workshop, {"heading": "x", "sql": "SELECT '<script>alert(1)</script>' AS a"})
    assert "<script>" not in html(workshop)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"heading": "x", "sql": "SELECT m FROM features.a"}, "SQL of section 'x'"),
        (
            {"heading": "x", "sql": "FROM features.a", "chart": {"x": "n", "y": ["twise"]}},
            "twice (did you mean this?)",
        ),
    ],
)
def test_a_wrong_section_is_named_and_the_old_page_stays(workshop, section, said):
    assert page(workshop, {"heading": "fine"}).success
    before = html(workshop)
    outcome = page(workshop, section)
    assert said in outcome.failures[0].message
    assert html(workshop) == before


def test_the_page_that_a_new_one_replaces_is_kept(workshop):
    page(workshop, {"heading": "first"})
    page(workshop, {"heading": "second"})
    folder = workshop.root / "tables" / "shop" / "reports" / "r" / ".versions" / "report.html"
    assert [("first" in kept.read_text()) for kept in folder.iterdir()] == [True]


def test_a_chart_without_a_query_is_a_broken_declaration(workshop):
    workshop.declare(
        "Report", "report", key="reports/r", title="t",
        sections=[{"heading": "x", "chart": {"x": "a", "y": ["b"]}}],
    )  # fmt: skip
    (broken,) = workshop.load().broken
    assert "`chart` and `rows` need `sql`" in str(broken)
