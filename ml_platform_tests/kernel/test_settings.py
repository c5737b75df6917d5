"""Settings come from the environment, and have defaults that need no server."""

from pathlib import Path

from ml_platform.kernel.settings import Settings, default_home


def test_everything_lies_under_one_home_by_default():
    settings = Settings.from_environment({"ML_PLATFORM_HOME": "/h"})
    assert settings.home == Path("/h")
    assert settings.storage_root == "/h/tables"
    assert settings.tracking_uri == "sqlite:////h/mlflow/mlflow.db"


def test_each_place_can_be_given():
    settings = Settings.from_environment(
        {
            "ML_PLATFORM_STORAGE_ROOT": "s3://bucket/tables",
            "MLFLOW_TRACKING_URI": "https://mlflow.example.org",
            "ML_PLATFORM_MEMORY_LIMIT": "4GiB",
        }
    )
    assert settings.storage_root == "s3://bucket/tables"
    assert settings.tracking_uri == "https://mlflow.example.org"
    assert settings.memory_limit == "4GiB"


def test_home_is_beside_the_workspace_whichever_folder_one_stands_in(tmp_path, monkeypatch):
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert default_home() == tmp_path / "var"
