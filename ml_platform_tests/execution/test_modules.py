"""A process that is started with this one's path finds the modules that this one finds."""

import os
import subprocess
import sys

from ml_platform.execution.modules import module_path


def test_a_child_finds_what_its_parent_found_at_the_same_place(tmp_path, monkeypatch):
    (tmp_path / "found_here.py").write_text("print('found')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as a terminal has it: the current folder
    environ = {**os.environ, "PYTHONPATH": module_path()}
    monkeypatch.chdir("/")
    said = subprocess.check_output([sys.executable, "-c", "import found_here"], env=environ)
    assert said == b"found\n"
