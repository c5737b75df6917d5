"""`send_message`: tell people something; the project's reporters decide who hears it.

Who tells is a resource of the project, `alerts`: this room knows nothing of channels.
"""

from ml_platform.scenarios.course import Course, Outcome, Result
from ml_platform.scenarios.step_words import SendMessage, Severity
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.templates import filled


def send_message(message: SendMessage, course: Course, place: Place) -> Result:
    """Fill in the texts of a declaration, and tell them.

    Raises:
        DataError: a text asks for what is not there.
        UnavailableError: it could not be kept for sending.
    """
    known = course.known()
    title, text = filled(message.title, known), filled(message.text, known)
    return told(place, title, text, message.severity)


def told(place: Place, title: str, text: str, severity: Severity, nth: str = "") -> Result:
    """Tell texts as they are, once however often the step is tried or its run repeated.

    `nth` tells several messages of one step apart.

    Raises:
        UnavailableError: it could not be kept for sending.
    """
    is_new = place.teller().tell(
        title,
        project=place.project,
        key=f"{place.first_run_id}/{place.step}{nth}",
        summary=text,
        severity=severity,
        scenario=place.scenario,
        run_id=place.run_id,
    )
    return Result(Outcome.success, {"title": title, "text": text, "is_new": is_new})
