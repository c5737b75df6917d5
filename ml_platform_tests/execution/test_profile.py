"""The words of `execution:`, and the file of profiles with its mistakes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_platform.execution.profile import (
    Execution,
    Plan,
    bytes_of,
    planned,
    profiles_file,
    size_of,
)
from ml_platform.kernel.errors import DeclarationError

FILE = """
small: {}
heavy:
  max_parallel: 4
  memory: 4GiB
  timeout_s: 600
far:
  engine: ray
  gpus: 1
  address: 10.0.0.5:6379
"""


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "profiles.yaml").write_text(FILE)
    return {"DAGSTER_HOME": str(tmp_path)}


PLANS = {
    "nothing": (None, Plan()),
    "an empty profile": ("small", Plan()),
    "a profile's name": (
        "heavy", Plan(max_parallel=4, memory_bytes=4 * 2**30, timeout_s=600),
    ),
    "a profile but for one word": (
        Execution(profile="heavy", max_parallel=1),
        Plan(max_parallel=1, memory_bytes=4 * 2**30, timeout_s=600),
    ),
    "a profile on Ray": ("far", Plan(engine="ray", gpus=1, address="10.0.0.5:6379")),
    "words alone": (Execution(cpus=2, runtime={"A": "b"}), Plan(cpus=2, runtime={"A": "b"})),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANS)
def test_a_declaration_and_its_profile_become_a_plan(case, environ):
    declared, plan = PLANS[case]
    assert planned(declared, environ) == plan


CLUSTERS = {
    "of this machine": {"name": "a", "nodes": 3},
    "on Kubernetes": {"name": "a", "kind": "kuberay", "manifest": "a.yaml", "reached_at": "b:1"},
    "that is running": "a",
}
NO_CLUSTERS = {
    "on Kubernetes without a manifest": {"name": "a", "kind": "kuberay"},
    "of this machine with one": {"name": "a", "manifest": "a.yaml"},
    "of this machine from afar": {"name": "a", "reached_at": "b:1"},
    "in a hurry": {"name": "a", "idle_s": 1},
    "without a name": {"nodes": 2},
    "with an address beside it": "a",
}


@pytest.mark.parametrize("case", CLUSTERS)
def test_a_cluster_is_part_of_the_plan_and_no_address_of_the_installation_beside_it(case, environ):
    declared = Execution(engine="ray", cluster=CLUSTERS[case])
    found = planned(declared, {**environ, "ML_PLATFORM_RAY_ADDRESS": "far:1"})
    assert found.cluster == declared.cluster
    assert found.address is None


@pytest.mark.parametrize("case", NO_CLUSTERS)
def test_a_cluster_that_cannot_be_is_refused(case):
    address = "b:1" if "address" in case else None
    with pytest.raises(ValueError, match=r"manifest|reached_at|idle_s|name|address"):
        Execution(engine="ray", cluster=NO_CLUSTERS[case], address=address)


def test_a_cluster_without_ray_is_refused():
    with pytest.raises(ValueError, match="are for `engine: ray`"):
        Execution(cluster="a")


@pytest.mark.parametrize(
    ("plan", "inside"),
    [
        (Plan(), True),
        (Plan(cpus=2), True),
        (Plan(max_parallel=2), False),
        (Plan(memory_bytes=1), False),
        (Plan(timeout_s=1), False),
        (Plan(runtime={"A": "b"}), False),
        (Plan(engine="ray"), False),
    ],
)
def test_only_a_plan_that_asks_for_nothing_stays_in_the_steps_process(plan, inside):
    assert plan.is_in_process is inside


MISTAKES = {
    "no such profile": (FILE, "heavi", "heavy (did you mean this?)"),
    "a word that there is not": (
        "heavy: {}\nbig:\n  cpu: 2\n",
        "big",
        "profiles.yaml:3:3: profile",
    ),
    "its likely spelling": ("heavy:\n  max_paralell: 2\n", "heavy", "max_parallel (did you mean"),
    "a value that is none": ("heavy:\n  cpus: 1\n  memory: much\n", "heavy", "profiles.yaml:3:3"),
    "a list": ("- heavy\n", "heavy", "profiles.yaml:1:1: profiles: not a mapping"),
    "a word for a profile": ("heavy: fast\n", "heavy", "profiles.yaml:1:8: profile 'heavy': not"),
    "a profile of a profile": ("a: {}\nheavy: {profile: a}\n", "heavy", "names no other profile"),
    "no YAML": ("heavy: [1\n", "heavy", "profiles.yaml:2:1: profiles:"),
    "an empty file": ("", "heavy", "has no such profile"),
    "no file": (None, "heavy", "there is no file"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_the_profiles_is_told_with_its_place(case, tmp_path):
    text, name, said = MISTAKES[case]
    file = tmp_path / "profiles.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DeclarationError) as raised:
        planned(name, {"ML_PLATFORM_PROFILES": str(file)})
    assert said in str(raised.value)


def test_a_changed_file_is_read_again(environ):
    file = profiles_file(environ)
    assert planned("heavy", environ).max_parallel == 4
    file.write_text("heavy: {max_parallel: 5}")
    assert planned("heavy", environ).max_parallel == 5


@pytest.mark.parametrize(
    "words", [{"gpus": 1}, {"address": "a:1"}, {"memory": "0GiB"}, {"cpus": 0}, {"max_parallel": 0}]
)
def test_words_that_make_no_sense_are_refused(words):
    with pytest.raises(ValueError, match=next(iter(words))):
        Execution(**words)


@pytest.mark.parametrize(
    ("text", "count"),
    [("4GiB", 2**32), ("512 MiB", 2**29), ("2GB", 2 * 10**9), ("1.5kB", 1500), ("100B", 100)],
)
def test_sizes_are_read_as_people_write_them(text, count):
    assert bytes_of(text) == count


@pytest.mark.parametrize("text", ["", "4", "GiB", "-1GiB", "4 gigs", "0MB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(DeclarationError, match="it is none"):
        bytes_of(text)


@given(st.integers(min_value=1, max_value=2**50))
def test_a_size_that_was_told_can_be_read_again(count):
    assert abs(bytes_of(size_of(count)) - count) <= 0.01 * count


def test_a_table_with_an_unknown_profile_is_the_only_one_that_is_broken(workshop, monkeypatch):
    monkeypatch.setenv("ML_PLATFORM_PROFILES", str(workshop.root / "profiles.yaml"))
    workshop.table("good", execution={"max_parallel": 1})
    workshop.table("bad", execution="heavy")
    broken = workshop.load().broken
    assert len(broken) == 1
    assert "profile 'heavy'" in str(broken[0])
    assert "bad/defs.yaml" in str(broken[0])


def test_how_a_table_is_made_is_no_part_of_its_code_version(workshop):
    def version():
        graph = workshop.load().definitions.resolve_asset_graph()
        return next(iter(graph.get_all_asset_keys())), {
            node.key: node.code_version for node in graph.asset_nodes
        }

    workshop.table("sales")
    before = version()
    workshop.table("sales", execution={"max_parallel": 2, "memory": "1GiB"})
    assert version() == before
