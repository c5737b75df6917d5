"""`deploy`: the code of a project, as it is on the disk now, becomes what Dagster knows.

It is loaded in a process of its own first. A project of which anything is broken is not let in, and
what was there stays; runs that go on keep the code with which they began.
"""

import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from ml_platform.kernel.environment import resolve
from ml_platform.kernel.errors import DataError, UnavailableError
from ml_platform.scenarios.course import Outcome, Result
from ml_platform.scenarios.step_words import Deploy
from ml_platform.scenarios.steps.place import Place

LONGEST_REASON = 2000
PATIENCE_S = 300.0
"""A project may take minutes to load; what is too long for a step is its `timeout`."""


def deploy(words: Deploy, place: Place) -> Result:
    """Look whether the project can be loaded, and let the webserver load it anew.

    Raises:
        DataError: the server has no such code location, or could not load it.
        UnavailableError: it does not answer.
    """
    if said := _trouble_of(words.project):
        return Result(Outcome.failed, {"deployed": False}, f"it stays as it was: {said}")
    server, login = _parted(resolve(words.server, "deploy"))
    _reload(words.project, server, login)
    place.say(f"{words.project} was loaded anew by {server}")
    return Result(Outcome.success, {"deployed": True, "server": server})


def _parted(address: str) -> tuple[str, tuple[str, str] | None]:
    """The address as it may be shown, and who calls there: no error can tell what it never had."""
    parts = urlsplit(address)
    login, _, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    server = urlunsplit(parts._replace(netloc=place)).rstrip("/")
    return server, (unquote(user), unquote(password)) if login else None


def _trouble_of(project: str) -> str:
    """What `ml-platform check` says in a process that has no older code; nothing if all is well."""
    program = Path(sys.executable).parent / "ml-platform"
    done = subprocess.run(  # noqa: S603 - a program of ours
        [str(program), "check", "--project", project], capture_output=True, text=True, check=False
    )
    said = (done.stderr.strip() or done.stdout.strip()) if done.returncode else ""
    return said[-LONGEST_REASON:]


_RELOAD = """
mutation ($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on WorkspaceLocationEntry {
      locationOrLoadError { __typename ... on PythonError { message } }
    }
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}
"""
"""Dagster's own client asks the same, but hides what went wrong."""


def _reload(project: str, server: str, login: tuple[str, str] | None) -> None:
    import httpx

    asked = {"query": _RELOAD, "variables": {"name": project}}
    try:
        answer = httpx.post(f"{server}/graphql", json=asked, auth=login, timeout=PATIENCE_S)
        said = answer.raise_for_status().json()["data"]["reloadRepositoryLocation"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(
            f"webserver {server}",
            str(error) or type(error).__name__,
            fix="start it, or name it in `server:` or ML_PLATFORM_UI_URL",
        ) from error
    found = said.get("locationOrLoadError", said)
    if found["__typename"] != "RepositoryLocation":
        given = found.get("message", found["__typename"])
        raise DataError(f"code location {project} of {server}", str(given)[:LONGEST_REASON])
