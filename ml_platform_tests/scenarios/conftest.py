"""Every test of this room keeps its record in a folder of its own."""

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("ML_PLATFORM_HOME", str(folder))
    monkeypatch.setenv("ML_PLATFORM_STORAGE_ROOT", str(tmp_path / "tables"))
    monkeypatch.delenv("ML_PLATFORM_SCENARIOS_URL", raising=False)
    return folder
