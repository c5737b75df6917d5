"""`alerts`, the resource by which a step tells people something; no room has to know this one."""

from typing import Any

import dagster as dg


class Alerts(dg.ConfigurableResource[Any]):
    """Tells by the project's rules; by default in the installation's outbox."""

    url: str = ""

    def tell(
        self,
        title: str,
        *,
        project: str,
        key: str,
        summary: str = "",
        severity: str = "info",
        scenario: str = "",
        run_id: str = "",
    ) -> bool:
        """Tell a message once a key; whether this was the first time.

        Raises:
            UnavailableError: the outbox's database does not answer.
        """
        from ml_platform.alerts.message import Severity
        from ml_platform.alerts.outbox import Outbox
        from ml_platform.alerts.tell import About, tell

        return tell(
            title,
            project=project,
            key=key,
            summary=summary,
            severity=Severity(severity),
            about=About(scenario=scenario, run_id=run_id),
            outbox=Outbox(self.url) if self.url else None,
        )
