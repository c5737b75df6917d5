"""Runs, versions and champions in real MLflow stores: an SQLite file, and a server over HTTP."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from ml_platform.models.forecast import GlobalForecaster
from ml_platform.models.tabular import Plan, train
from ml_platform.models.tracking import (
    Training,
    Verdict,
    find_champion,
    gate,
    load_champion,
    record,
)
from ml_platform_tests.ports import free_port

YES, NO = Verdict(is_champion=True, sentence="yes"), Verdict(is_champion=False, sentence="no")
NAN = float("nan")

VERDICTS = [
    # new, champion, baseline, better, champion?, said
    (0.04, None, 0.05, "lower", True, "no champion's score to compare with"),
    (0.04, 0.045, 0.05, "lower", True, "not worse than today's champion's 0.045"),
    (0.04, 0.04, 0.05, "lower", True, "not worse"),
    (0.04, 0.03, 0.05, "lower", False, "worse than today's champion's 0.03"),
    (0.05, None, 0.05, "lower", False, "does not beat the baseline's 0.05"),
    (0.06, 0.07, 0.05, "lower", False, "does not beat the baseline's 0.05"),
    (0.9, 0.8, 0.5, "higher", True, "Champion: 0.9 beats the baseline's 0.5"),
    (0.9, 0.95, 0.5, "higher", False, "worse than today's champion's 0.95"),
    (0.4, None, 0.5, "higher", False, "does not beat"),
    (NAN, None, 0.5, "lower", False, "nan does not beat"),
    (0.4, None, NAN, "lower", False, "does not beat the baseline's nan"),
    (0.4, NAN, 0.5, "lower", True, "no champion's score"),
]


@pytest.mark.parametrize(("new", "champion", "baseline", "better", "passes", "said"), VERDICTS)
def test_the_gate_wants_better_than_the_baseline_and_not_worse_than_the_champion(
    new, champion, baseline, better, passes, said
):
    verdict = gate(new, champion, baseline, better=better)
    assert verdict.is_champion is passes
    assert said in verdict.sentence


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path / 'not' / 'yet' / 'mlflow.db'}"


def a_training(slope=2.0, **changes):
    frame = pd.DataFrame({"x": np.arange(10.0), "n": range(10)})
    model = Ridge().fit(frame, slope * frame["x"])
    given = {
        "name": "demand",
        "model": model,
        "example": frame.head(3),
        "output": model.predict(frame.head(3)),
        "parameters": {"alpha": 1.0, "long": "x" * 9000},
        "metrics": {"wape": 0.04, "mase": NAN},
        "baseline_metrics": {"wape": 0.05},
        "tags": {"code_version": "abc"},
    }
    return Training(**{**given, **changes})


def kept(training, verdict, store, **more):
    return record(training, verdict, tracking_uri=store, experiment="demand", **more)


def test_a_run_keeps_parameters_metrics_tags_model_and_verdict(store, tmp_path):
    from mlflow import MlflowClient

    done = kept(a_training(), YES, store)
    client = MlflowClient(store)
    run = client.get_run(done.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"wape": 0.04, "baseline_wape": 0.05}
    assert run.data.params["alpha"] == "1.0"
    assert len(run.data.params["long"]) == 6000
    assert (run.data.tags["code_version"], run.data.tags["verdict"]) == ("abc", "yes")
    version = client.get_model_version("demand", str(done.version))
    assert (version.run_id, version.tags["verdict"]) == (done.run_id, "yes")
    files = sorted(one.name for one in (tmp_path / "not" / "yet" / "artifacts").rglob("*.*"))
    assert {"MLmodel", "model.pkl", "requirements.txt", "input_example.json"} <= {
        *files,
        *(p.name for p in (tmp_path / "not" / "yet" / "artifacts").rglob("MLmodel")),
    }


def test_the_model_has_a_signature_and_an_example_that_other_clients_can_use(store):
    import mlflow

    done = kept(a_training(), YES, store)
    logged = mlflow.MlflowClient(store).get_logged_model(done.model_uri.removeprefix("models:/"))
    loaded = mlflow.pyfunc.load_model(logged.artifact_location)
    assert loaded.metadata.signature.inputs.input_names() == ["x", "n"]
    assert loaded.input_example["x"].tolist() == [0.0, 1.0, 2.0]
    assert loaded.predict(loaded.input_example) == pytest.approx([0.0, 2.0, 4.0], abs=0.4)


def test_the_newest_version_is_challenger_and_the_champion_stays_until_beaten(store):
    first = kept(a_training(slope=2.0), YES, store)
    second = kept(a_training(slope=5.0), NO, store)
    assert (first.aliases, second.aliases) == (("challenger", "champion"), ("challenger",))
    champion = find_champion("demand", store)
    assert (champion.version, champion.run_id) == (first.version, first.run_id)
    assert champion.metrics["wape"] == 0.04
    assert champion.model.coef_[0] == pytest.approx(2.0, abs=1.5)
    third = kept(a_training(slope=9.0), YES, store)
    assert find_champion("demand", store).version == third.version == 3
    assert first.experiment_id == third.experiment_id


def test_before_the_first_champion_there_is_none(store):
    assert find_champion("demand", store) is None
    kept(a_training(), NO, store)
    assert find_champion("demand", store) is None
    with pytest.raises(NotFoundError, match="it has no champion"):
        load_champion("demand", store)


def test_a_champion_whose_files_are_gone_is_said_to_be(store, tmp_path):
    import shutil

    kept(a_training(), YES, store)
    shutil.rmtree(tmp_path / "not" / "yet" / "artifacts")
    with pytest.raises(NotFoundError, match="the champion's files cannot be read"):
        load_champion("demand", store)


LOAD = """
import sys, pandas as pd
from ml_platform.models.tracking import load_champion
rows = pd.read_parquet(sys.argv[3])
print(load_champion(sys.argv[1], sys.argv[2]).predict(rows).to_json(date_format="iso"))
"""


def test_a_forecaster_is_loaded_in_a_fresh_process_and_says_the_same(store, made_panel, tmp_path):
    panel = made_panel(count=2, weeks=120, ahead=4)
    model = GlobalForecaster(known=["promo"], observed=["heat"], horizon=4).fit(panel)
    said = model.predict(panel)
    kept(a_training(model=model, example=panel.tail(20), output=said), YES, store)
    panel.to_parquet(tmp_path / "panel.parquet")
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD, "demand", store, tmp_path / "panel.parquet"],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == said.to_json(date_format="iso")
    assert process.stderr == ""


def test_a_pipeline_on_a_table_comes_back_whole(store):
    frame = pd.DataFrame({"kind": ["a", None, "b", "a"] * 20, "n": range(80), "y": range(80)})
    done = train(frame, Plan("regression", "y", algorithm="ridge"))
    rows = frame[["kind", "n"]].head()
    kept(a_training(model=done.model, example=rows, output=done.model.predict(rows)), YES, store)
    again = load_champion("demand", store)
    assert again.predict(rows).tolist() == done.model.predict(rows).tolist()


def test_nothing_is_printed_and_no_state_of_mlflow_is_changed(store, capfd, monkeypatch, tmp_path):
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    before = mlflow.get_tracking_uri()
    kept(a_training(), YES, store)
    load_champion("demand", store)
    assert capfd.readouterr() == ("", "")
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None
    assert "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR" not in os.environ
    assert [one.name for one in tmp_path.iterdir()] == ["not"]


class Unpicklable(Ridge):
    def __reduce__(self):
        raise RuntimeError("no")


def test_a_training_that_cannot_be_kept_is_a_failed_run_and_no_version(store):
    from mlflow import MlflowClient

    model = Unpicklable().fit([[1.0], [2.0]], [1.0, 2.0])
    with pytest.raises(RuntimeError, match="no"):
        kept(a_training(model=model), YES, store)
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("demand")
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert find_champion("demand", store) is None


def test_artifacts_go_where_they_are_asked_to_go(store, tmp_path):
    kept(a_training(), YES, store, artifact_root=str(tmp_path / "elsewhere"))
    assert len(list((tmp_path / "elsewhere" / "demand").rglob("MLmodel"))) == 1


def test_a_deleted_experiment_is_said_to_be(store):
    from mlflow import MlflowClient

    done = kept(a_training(), YES, store)
    MlflowClient(store).delete_experiment(done.experiment_id)
    with pytest.raises(DataError, match="it is deleted"):
        kept(a_training(), YES, store)


@pytest.mark.parametrize("name", ["", "models/demand", "a:b"])
def test_a_name_that_mlflow_cannot_take_is_refused(name, store):
    with pytest.raises(DeclarationError, match="no name for a registered model"):
        kept(a_training(name=name), YES, store)
    with pytest.raises(DeclarationError, match="no name for a registered model"):
        find_champion(name, store)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "mlflow.db").write_text("a letter, many lines long\n" * 100)
    with pytest.raises(SettingsError, match="file is not a database"):
        find_champion("demand", f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="correct MLFLOW_TRACKING_URI"):
        find_champion("demand", f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")


def test_a_store_in_memory_is_refused():
    with pytest.raises(SettingsError, match="it names no file"):
        find_champion("demand", "sqlite://")


def test_a_server_that_does_not_answer_may_be_tried_again(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UnavailableError, match="MLflow at http") as caught:
        find_champion("demand", f"http://127.0.0.1:{free_port()}")
    assert caught.value.retryable


@pytest.fixture
def server(tmp_path):
    """A real MLflow server of one worker; it keeps the files itself."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        "--backend-store-uri",
        f"sqlite:///{tmp_path / 'server.db'}",
        "--artifacts-destination",
        str(tmp_path / "kept"),
    ]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_healthy(address, process, tmp_path / "log")
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _wait_until_healthy(address, process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_a_server_over_http_keeps_the_run_and_its_files(server, tmp_path):
    done = kept(a_training(), YES, server)
    champion = find_champion("demand", server)
    assert (champion.version, champion.run_id) == (done.version, done.run_id)
    assert champion.model.predict(pd.DataFrame({"x": [1.0], "n": [1]})) == pytest.approx(2, abs=0.4)
    assert len(list((tmp_path / "kept").rglob("MLmodel"))) == 1


START = """
import sys
from ml_platform.models.tracking import find_champion
assert find_champion("demand", sys.argv[1]) is None
"""


@pytest.mark.fault
def test_several_processes_may_meet_at_an_empty_store(store):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", START, store],
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3)
    ]
    ends = [(one.communicate()[1], one.returncode) for one in started]
    assert [code for _, code in ends] == [0] * 3, [error for error, _ in ends]
