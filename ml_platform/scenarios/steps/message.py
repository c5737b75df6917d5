"""`send_message`: tell people something; the project's reporters decide who hears it.

Who tells is a resource of the project, `alerts`: this room knows nothing of channels.
"""

from ml_platform.scenarios.course import Course, Outcome, Result
from ml_platform.scenarios.step_words import SendMessage
from ml_platform.scenarios.steps.place import Place
from ml_platform.scenarios.templates import filled


def send_message(message: SendMessage, course: Course, place: Place, nth: str = "") -> Result:
    """Tell it once, however often the step is tried or its run repeated.

    `nth` tells several messages of one step apart.

    Raises:
        DataError: a text asks for what is not there.
        UnavailableError: it could not be kept for sending.
    """
    known = course.known()
    title, text = filled(message.title, known), filled(message.text, known)
    is_new = place.teller().tell(
        title,
        project=place.project,
        key=f"{place.first_run_id}/{place.step}{nth}",
        summary=text,
        severity=message.severity,
        scenario=place.scenario,
        run_id=place.run_id,
    )
    return Result(Outcome.success, {"title": title, "text": text, "is_new": is_new})
