"""Where alerts keep their outbox and which addresses their links carry: environment variables."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ml_platform.kernel.settings import Settings

SECRET_VARIABLE = "ML_PLATFORM_SECRET"  # noqa: S105 - the variable's name
DEFAULT_PORT = 3001
"""Of the page on which a message is acknowledged."""


@dataclass(frozen=True)
class AlertSettings:
    """The settings of this room.

    Attributes:
        url: SQLAlchemy's address of the outbox (`ML_PLATFORM_ALERTS_URL`); a file beside Dagster's
            own by default.
        home: the folder for what the platform writes by itself.
        ui_url: Dagster's webserver, for links to runs and assets (`ML_PLATFORM_UI_URL`).
        ack_url: the page on which a message is acknowledged (`ML_PLATFORM_ACK_URL`).
        environment: the name of this installation, as titles say it (`ML_PLATFORM_ENVIRONMENT`).
    """

    url: str
    home: Path
    ui_url: str
    ack_url: str
    environment: str
    given_secret: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read them; nothing is made or contacted."""
        home = Settings.from_environment(environ).home
        file = home / "dagster" / "alerts.db"
        return cls(
            url=environ.get("ML_PLATFORM_ALERTS_URL") or f"sqlite:///{file}",
            home=home,
            ui_url=(environ.get("ML_PLATFORM_UI_URL") or "http://127.0.0.1:3000").rstrip("/"),
            ack_url=(
                environ.get("ML_PLATFORM_ACK_URL") or f"http://127.0.0.1:{DEFAULT_PORT}"
            ).rstrip("/"),
            environment=environ.get("ML_PLATFORM_ENVIRONMENT") or "local",
            given_secret=environ.get(SECRET_VARIABLE, ""),
        )

    def secret(self) -> bytes:
        """What links are signed with: the variable's value, else a file made once, for us alone."""
        if self.given_secret:
            return self.given_secret.encode()
        file = self.home / "secret"
        if not file.exists():
            _make_once(file)
        return file.read_bytes()


def _make_once(file: Path) -> None:
    """Write a new secret; of several processes that try, one wins and all read the same."""
    file.parent.mkdir(parents=True, exist_ok=True)
    own = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    own.touch(mode=0o600)
    own.write_text(secrets.token_urlsafe(32), encoding="ascii")
    try:
        os.link(own, file)
    except FileExistsError:
        pass
    finally:
        own.unlink()
