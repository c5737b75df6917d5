"""What came out of a training, kept in MLflow: one run each, a version, and who is champion.

What belongs here: writing runs, models and aliases, the gate between challenger and champion, and
loading the champion again. What does not: training and judging (`tabular`, `backtest`).

Every call names its store. MLflow's own global state (the tracking address, the active run) is
neither read nor changed, so that several trainings and other users of MLflow in one process do not
meet each other.
"""

import contextlib
import fcntl
import importlib.metadata
import logging
import math
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.kernel.errors import (
    DataError,
    DeclarationError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from ml_platform.models.metrics import Better

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"
PARAMETER_LENGTH = 6000  # MLflow refuses longer ones


# --- The gate -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """Whether a new model becomes champion, and why, as a sentence."""

    is_champion: bool
    sentence: str


def gate(
    new_score: float,
    champion_score: float | None,
    baseline_score: float,
    *,
    better: Better,
) -> Verdict:
    """Whether a new model may take the champion's place.

    It has to be truly better than the baseline and not worse than today's champion.

    Args:
        new_score: the new model's figure on the hold-out.
        champion_score: today's champion's on the same hold-out; None when there is no champion.
        baseline_score: the baseline's on the same hold-out.
        better: whether a higher or a lower figure is better.
    """
    said = f"{new_score:.4g}"
    sign = 1.0 if better == "higher" else -1.0
    # Written so that a score which is no number never wins.
    if not sign * new_score > sign * baseline_score:
        return Verdict(
            is_champion=False,
            sentence=f"Not champion: {said} does not beat the baseline's {baseline_score:.4g} "
            f"({better} is better).",
        )
    if champion_score is None or not math.isfinite(champion_score):
        return Verdict(
            is_champion=True,
            sentence=f"Champion: {said} beats the baseline's {baseline_score:.4g} "
            f"({better} is better), and there is no champion's score to compare with.",
        )
    if sign * new_score < sign * champion_score:
        return Verdict(
            is_champion=False,
            sentence=f"Not champion: {said} is worse than today's champion's "
            f"{champion_score:.4g} on the same rows ({better} is better).",
        )
    return Verdict(
        is_champion=True,
        sentence=f"Champion: {said} beats the baseline's {baseline_score:.4g} and is not worse "
        f"than today's champion's {champion_score:.4g} on the same rows ({better} is better).",
    )


# --- Writing --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """What is kept of a training.

    Attributes:
        name: of the registered model.
        model: a fitted estimator or pipeline of scikit-learn's shape.
        example: a few rows of its input.
        output: what it predicts for them; with `example` it gives the signature.
        parameters: of the algorithm, the split and whatever decided the result.
        metrics: the model's figures; those that are not finite are left out.
        baseline_metrics: the baseline's, kept as `baseline_<name>`.
        tags: words for the run and the version, such as the code version.
    """

    name: str
    model: Any
    example: "pd.DataFrame"
    output: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    baseline_metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """Where a training is kept.

    Attributes:
        run_id: of the MLflow run.
        experiment_id: of its experiment.
        version: of the registered model, counted from one.
        model_uri: `models:/...`, where a client of the same store finds the model.
        aliases: which the version got.
    """

    run_id: str
    experiment_id: str
    version: int
    model_uri: str
    aliases: tuple[str, ...]


def record(
    training: Training,
    verdict: Verdict,
    *,
    tracking_uri: str,
    experiment: str,
    artifact_root: str | None = None,
) -> Recorded:
    """Write one run with its model, register it, and set the aliases.

    Args:
        training: what to keep.
        verdict: whether the new version becomes champion; it is always the challenger.
        tracking_uri: `sqlite:///...`, an http(s) address or another of MLflow's.
        experiment: the experiment's name; it is made when there is none.
        artifact_root: the folder or URL under which a new experiment keeps its files. By default
            beside an SQLite file, and what the server says behind http.

    Raises:
        DeclarationError: a name that MLflow cannot take.
        SettingsError: the store cannot be used as it is addressed.
        UnavailableError: the server does not answer.
    """
    _check_name(training.name)
    with _client(tracking_uri) as client:
        experiment_id = _experiment(client, tracking_uri, experiment, artifact_root)
        tags = {**training.tags, "verdict": verdict.sentence}
        run_id = client.create_run(experiment_id, tags=tags, run_name=training.name).info.run_id
        try:
            model_uri = _log(client, training, experiment_id, run_id)
            version, aliases = _register(client, training.name, model_uri, tags, verdict)
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")
        return Recorded(run_id, experiment_id, version, model_uri, aliases)


def _check_name(name: str) -> None:
    if not name.strip() or any(sign in name for sign in "/:"):
        raise DeclarationError(
            f"model '{name}'", "no name for a registered model", allowed="words without / and :"
        )


def _log(client: "MlflowClient", training: Training, experiment_id: str, run_id: str) -> str:
    """Parameters, metrics and the model; the model's address."""
    from mlflow.entities import LoggedModelOutput, Metric, Param

    parameters = {key: str(value)[:PARAMETER_LENGTH] for key, value in training.parameters.items()}
    logged = client.create_logged_model(
        experiment_id, name=training.name, source_run_id=run_id, params=parameters
    )
    figures = {
        **training.metrics,
        **{f"baseline_{k}": v for k, v in training.baseline_metrics.items()},
    }
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[
            Metric(key, float(value), now, 0, model_id=logged.model_id, run_id=run_id)
            for key, value in figures.items()
            if math.isfinite(value)
        ],
        params=[Param(key, value) for key, value in parameters.items()],
    )
    with tempfile.TemporaryDirectory() as folder:
        _save(training, Path(folder) / "model", run_id, logged.model_id)
        client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return f"models:/{logged.model_id}"


def _save(training: Training, path: Path, run_id: str, model_id: str) -> None:
    """MLflow's scikit-learn flavour in a folder, with signature and input example.

    The format is cloudpickle: skops, MLflow's own choice, refuses classes that are not
    scikit-learn's, such as the forecasters here. Loading either runs code, as MLflow says itself.
    """
    import mlflow.sklearn
    from mlflow.models import Model, infer_signature

    mlflow.sklearn.save_model(
        training.model,
        str(path),
        mlflow_model=Model(run_id=run_id, model_id=model_id),
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
        signature=infer_signature(training.example, training.output),
        input_example=training.example,
        pip_requirements=_requirements(training.model),
    )


def _requirements(model: Any) -> list[str]:
    """What a model needs: named here, as guessing costs MLflow a process that loads it again."""
    names = ["scikit-learn", "pandas", "numpy", "cloudpickle"]
    steps = [type(step).__module__ for _, step in getattr(model, "steps", [])]
    if any(module.startswith("ml_platform.preparation.") for module in steps):
        names += ["holidays", "lightgbm", "pyarrow", "skrub"]
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def _register(
    client: "MlflowClient",
    name: str,
    model_uri: str,
    tags: Mapping[str, str],
    verdict: Verdict,
) -> tuple[int, tuple[str, ...]]:
    """A new version of the registered model, with its aliases."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    logged = client.get_logged_model(model_uri.removeprefix("models:/"))
    # The files' own address: behind a `models:/` one MLflow looks in its global store, not in this.
    made = client.create_model_version(
        name,
        source=logged.artifact_location,
        run_id=logged.source_run_id,
        tags=dict(tags),
        model_id=logged.model_id,
    )
    aliases = (CHALLENGER, CHAMPION) if verdict.is_champion else (CHALLENGER,)
    for alias in aliases:
        client.set_registered_model_alias(name, alias, made.version)
    return int(made.version), aliases


# --- Reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Champion:
    """Today's champion of a registered model.

    Attributes:
        name: of the registered model.
        version: which of its versions it is.
        run_id: the run that made it.
        metrics: the figures of that run.
        model: ready to predict.
    """

    name: str
    version: int
    run_id: str
    metrics: dict[str, float]
    model: Any


def find_champion(name: str, tracking_uri: str) -> Champion | None:
    """Today's champion, or None when the model has none yet.

    Raises:
        DeclarationError: a name that MLflow cannot take.
        SettingsError: the store cannot be used as it is addressed.
        UnavailableError: the server does not answer.
    """
    _check_name(name)
    with _client(tracking_uri) as client:
        version = _champion_version(client, name)
        if version is None:
            return None
        run_id = str(version.run_id)
        metrics = dict(client.get_run(run_id).data.metrics)
        model = _load(name, str(version.source), tracking_uri)
        return Champion(name, int(version.version), run_id, metrics, model)


def load_champion(name: str, tracking_uri: str) -> Any:
    """The champion's fitted model.

    Raises:
        NotFoundError: the registered model does not exist or has no champion.
        SettingsError: the store cannot be used as it is addressed.
        UnavailableError: the server does not answer.
    """
    found = find_champion(name, tracking_uri)
    if found is None:
        raise NotFoundError(
            f"model {name}",
            "it has no champion",
            fix="train it; the first version that beats the baseline becomes champion",
        )
    return found.model


def _champion_version(client: "MlflowClient", name: str) -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        # To MLflow an alias that is not set is an invalid value.
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _load(name: str, source: str, tracking_uri: str) -> Any:
    import mlflow.artifacts
    import mlflow.sklearn
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = mlflow.artifacts.download_artifacts(
                source, dst_path=folder, tracking_uri=tracking_uri
            )
        except (OSError, MlflowException) as error:
            if _is_unavailable(error):
                raise
            raise NotFoundError(
                f"model {name}",
                f"the champion's files cannot be read: {error}",
                fix="bring the artifact folder back, or train again",
            ) from error
        return mlflow.sklearn.load_model(path)


# --- The store ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _client(tracking_uri: str) -> "Iterator[MlflowClient]":
    """A client of one store, without MLflow's chatter, its errors told in the house's words."""
    with _quiet():
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        _prepare(tracking_uri)
        try:
            yield MlflowClient(tracking_uri, registry_uri=tracking_uri)
        except MlflowException as error:
            if _is_unavailable(error):
                raise UnavailableError(
                    f"MLflow at {tracking_uri}", str(error), fix="check the address and the server"
                ) from error
            raise


def _is_unavailable(error: Exception) -> bool:
    code = getattr(error, "error_code", "")
    text = str(error)
    return code == "TEMPORARILY_UNAVAILABLE" or (
        text.startswith("API request to") and "failed with exception" in text
    )


def _prepare(tracking_uri: str) -> None:
    """Make the folder of an SQLite store, and let one process at a time create its tables.

    MLflow's first call migrates an empty file; two that do so at once leave it broken.
    """
    path = _sqlite_path(tracking_uri)
    if path is None:
        return
    from mlflow import MlflowClient
    from sqlalchemy.exc import DatabaseError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            MlflowClient(tracking_uri).search_experiments(max_results=1)
    except (OSError, DatabaseError) as error:
        raise SettingsError(
            f"MLflow's store {path}",
            str(error).splitlines()[0],
            allowed="an SQLite file of MLflow, or a path where one can be made",
            fix="correct MLFLOW_TRACKING_URI or the folder's rights",
        ) from error


def _sqlite_path(tracking_uri: str) -> Path | None:
    if not tracking_uri.startswith("sqlite"):
        return None
    path = tracking_uri.partition(":///")[2].partition("?")[0]
    if not path:
        raise SettingsError(
            f"MLflow's store {tracking_uri}",
            "it names no file",
            allowed="sqlite:///<path>, so that runs outlive the process",
        )
    return Path(path).absolute()


def _experiment(
    client: "MlflowClient", tracking_uri: str, name: str, artifact_root: str | None
) -> str:
    """The experiment's id; made when there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, _artifacts(tracking_uri, name, artifact_root))
        except MlflowException as error:
            # Another training made it in between.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise DataError(
            f"MLflow experiment '{name}'",
            "it is deleted",
            fix="restore it in MLflow, or give another name",
        )
    return str(found.experiment_id)


def _artifacts(tracking_uri: str, name: str, artifact_root: str | None) -> str | None:
    """Where a new experiment keeps its files: never below whatever folder happens to be current."""
    from urllib.parse import quote

    path = _sqlite_path(tracking_uri)
    if artifact_root:
        root = artifact_root if "://" in artifact_root else Path(artifact_root).absolute().as_uri()
        return f"{root.rstrip('/')}/{quote(name, safe='')}"
    if path:
        return f"{(path.parent / 'artifacts').as_uri()}/{quote(name, safe='')}"
    if tracking_uri.startswith(("http://", "https://")):
        return None
    raise SettingsError(
        f"MLflow's store {tracking_uri}",
        "it does not say where a new experiment keeps its files",
        fix="give an artifact root, a folder or a URL that every process can reach",
    )


_CHATTER = "Saving scikit-learn models in the pickle or cloudpickle format"


class _NoChatter(logging.Filter):
    """Drops what the choice of cloudpickle has answered already."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(_CHATTER)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MLflow without progress bars, progress messages and the warnings that it raises in itself."""
    import mlflow  # noqa: F401 - sets its loggers' levels when it is first imported
    from sqlalchemy.exc import SADeprecationWarning

    names = ("mlflow", "alembic")
    before = {name: logging.getLogger(name).level for name in names}
    bar = os.environ.get("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
    chatter, speaker = _NoChatter(), logging.getLogger("mlflow.sklearn")
    with warnings.catch_warnings():
        # MLflow 3.17 uses a loader that SQLAlchemy 2.1 deprecates.
        warnings.filterwarnings("ignore", "The ``noload`` loader", SADeprecationWarning)
        # Raised while MLflow imports its own chat types, which nothing here uses.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        # Integers that may be missing one day: predictions here never pass the schema's cast.
        warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer", UserWarning)
        try:
            os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
            for name in names:
                logging.getLogger(name).setLevel(logging.WARNING)
            speaker.addFilter(chatter)
            yield
        finally:
            speaker.removeFilter(chatter)
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)
            os.environ.pop("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
            if bar is not None:
                os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = bar
