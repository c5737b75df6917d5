"""Assets bound to resources without being made anew: nothing else may differ from Dagster's way."""

import dagster as dg
import pytest

from ml_platform.execution.declared import DeclaredAsset


def made(kind, **more):
    op = dg.OpDefinition(
        compute_fn=lambda _context, _inputs: (yield dg.Output(None)),
        name="t",
        outs={"result": dg.Out(dg.Nothing)},
        required_resource_keys={"tables"},
    )
    spec = dg.AssetSpec(["features", "t"], owners=["team:shop"], code_version="1")
    return kind(keys_by_output_name={"result": spec.key}, node_def=op, specs=[spec], **more)


RESOURCES = {
    "tables": dg.ResourceDefinition.hardcoded_resource("ours"),
    "io_manager": dg.mem_io_manager,
    "unneeded": dg.ResourceDefinition.hardcoded_resource("theirs"),
}


def test_an_asset_bound_our_way_is_what_dagster_makes_of_it_but_for_what_it_does_not_need():
    ours = made(DeclaredAsset).with_resources(RESOURCES)
    theirs = made(dg.AssetsDefinition).with_resources(RESOURCES)
    mine, other = ours.get_attributes_dict(), theirs.get_attributes_dict()
    assert mine.keys() == other.keys()
    assert other.pop("resource_defs").items() <= mine.pop("resource_defs").items()
    for one in (mine, other):
        one.pop("node_def")
        one["specs"] = list(one["specs"])
    assert mine == other


def test_the_asset_itself_stays_without_resources():
    asset = made(DeclaredAsset)
    asset.with_resources(RESOURCES)
    assert not asset.resource_defs


def test_resources_that_an_asset_brings_may_not_differ_as_with_dagster():
    own = dg.ResourceDefinition.hardcoded_resource("its own")
    with pytest.raises(dg.DagsterInvalidInvocationError, match="conflicting resource"):
        made(DeclaredAsset, resource_defs={"tables": own}).with_resources(RESOURCES)


def test_a_location_runs_the_asset_with_its_resources():
    seen = []

    def step(context, _inputs):
        seen.append(context.resources.tables)
        yield dg.Output(None)

    op = dg.OpDefinition(
        compute_fn=step,
        name="t",
        outs={"result": dg.Out(dg.Nothing)},
        required_resource_keys={"tables"},
    )
    asset = DeclaredAsset(
        keys_by_output_name={"result": dg.AssetKey("t")}, node_def=op, specs=[dg.AssetSpec("t")]
    )
    definitions = dg.Definitions(assets=[asset], resources={"tables": RESOURCES["tables"]})
    assert definitions.resolve_implicit_global_asset_job_def().execute_in_process().success
    assert seen == ["ours"]
