"""Sending what is due: one channel beside the other, each message as often as it takes.

Nothing here decides what is told. A channel that is slow holds up nothing but itself: each has a
thread, and a tick waits for them no longer than its budget; a thread that is in the middle of a
message ends it and writes its receipt by itself.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic

from ml_platform.alerts.channels.channel import (
    Channel,
    ClosedError,
    NotDeliveredError,
    Receipt,
    RefusedError,
)
from ml_platform.alerts.compose import MOST_ITEMS, Place, digest_of, notice, short_id
from ml_platform.alerts.outbox import Book, Delivery, Outbox
from ml_platform.alerts.routing import elsewhere
from ml_platform.alerts.timing import next_attempt
from ml_platform.kernel.errors import PlatformError

BUDGET_S = 20.0
"""How long a tick waits; Dagster ends one after 60 s."""

PAUSE_S = 5.0
"""A channel that did not take a message is left alone for so long."""

RATE_PER_S, BURST = 5.0, 20.0
"""Of each channel's bucket, which all processes share."""

RATES: Mapping[str, tuple[float, float]] = {
    "folder": (1000.0, 1000.0),
    "webhook": (20.0, 100.0),
    "slack": (1.0, 5.0),
    "teams": (1.0, 4.0),
    "twilio": (1.0, 5.0),
}
"""By kind of channel, per second and at once, where the service is known to take more or less."""

_log = logging.getLogger(__name__)
_busy: set[tuple[str, str]] = set()
_busy_lock = threading.Lock()


@dataclass
class Sent:
    """What a round of sending has done."""

    sent: int = 0
    put_off: int = 0
    dead: int = 0

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(self.sent + other.sent, self.put_off + other.put_off, self.dead + other.dead)


def deliver(
    outbox: Outbox, channels: Mapping[str, Channel], place: Place, budget_s: float = BUDGET_S
) -> Sent:
    """Send what is due, for no longer than the budget; what is left waits for the next call."""
    deadline = monotonic() + budget_s
    with outbox.book() as book:
        gather(book, place)
        book.free_what_the_dead_held()
        due = book.due_channels()
    done: list[Sent] = []
    threads = []
    for name in due:
        if not _begin(outbox.url, name):
            continue  # an earlier tick's thread is still at it
        target = _Worker(outbox, channels, name, deadline, done)
        threads.append(threading.Thread(target=target, name=f"alerts {name}", daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    return sum(done, Sent())


def _begin(url: str, channel: str) -> bool:
    with _busy_lock:
        if (url, channel) in _busy:
            return False
        _busy.add((url, channel))
        return True


@dataclass
class _Worker:
    """Sends what one channel is due, one after the other."""

    outbox: Outbox
    channels: Mapping[str, Channel]
    name: str
    deadline: float
    done: list[Sent]

    def __call__(self) -> None:
        try:
            while monotonic() < self.deadline:
                one = self._next()
                if one is None:
                    break
                self.done.append(attempt(self.outbox, self.channels, one))
        except PlatformError:
            # What was not written down is sent again after its lease, with the same key.
            _log.exception("alerts: the outbox failed while channel %s was served", self.name)
        finally:
            with _busy_lock:
                _busy.discard((self.outbox.url, self.name))

    def _next(self) -> Delivery | None:
        kind = getattr(self.channels.get(self.name), "type", "")
        with self.outbox.book() as book:
            if self.name in self.channels and not book.may_send(
                self.name, *RATES.get(kind, (RATE_PER_S, BURST))
            ):
                return None
            return book.claim(self.name)


def attempt(outbox: Outbox, channels: Mapping[str, Channel], one: Delivery) -> Sent:
    """Hand one claimed delivery over, and write how that went."""
    channel = channels.get(one.channel)
    if channel is None:
        there = ", ".join(sorted(channels))
        return _give_up(outbox, channels, one, f"there is no channel {one.channel}, but {there}")
    try:
        receipt = channel.send(one.message, key=one.key, thread=one.thread)
    except ClosedError as error:
        return _close(outbox, channels, one, str(error))
    except RefusedError as error:
        return _give_up(outbox, channels, one, str(error))
    except PlatformError as error:
        return _put_off(outbox, channels, one, error)
    except Exception as error:  # noqa: BLE001 - named below
        # A mistake of the channel's code for this one message: it must not hold up the others, and
        # is told as what it is, in the log with its traceback and as a dead letter.
        _log.exception("channel %s failed at message %s", one.channel, one.key)
        return _give_up(outbox, channels, one, f"{type(error).__name__}: {error}")
    return _written(outbox, one, receipt)


def _written(outbox: Outbox, one: Delivery, receipt: Receipt) -> Sent:
    with outbox.book() as book:
        book.sent(one, receipt.id, receipt.thread or one.thread, receipt.remark)
    return Sent(sent=1)


def _put_off(
    outbox: Outbox, channels: Mapping[str, Channel], one: Delivery, error: PlatformError
) -> Sent:
    wish = error.retry_after_s if isinstance(error, NotDeliveredError) else None
    with outbox.book() as book:
        again = next_attempt(one.attempts + 1, book.now, wish)
        if again is not None:
            book.put_off(one, str(error), again)
            book.pause(one.channel, book.now + timedelta(seconds=max(PAUSE_S, wish or 0.0)))
            return Sent(put_off=1)
    return _give_up(outbox, channels, one, f"after {one.attempts + 1} attempts: {error}")


def _give_up(outbox: Outbox, channels: Mapping[str, Channel], one: Delivery, error: str) -> Sent:
    with outbox.book() as book:
        book.given_up(one, error)
        if one.message.event_type not in {"delivery.dead", "channel.closed"}:
            sentence = f"Channel {one.channel} did not take: {one.message.title}"
            to_do = f"It is delivery {one.id}; `ml-platform alerts resend {one.id}` sends it again."
            words = ("delivery.dead", f"dead-{one.key}", sentence, f"{to_do} {error}")
            _tell_elsewhere(book, channels, one, words)
    return Sent(dead=1)


def _close(outbox: Outbox, channels: Mapping[str, Channel], one: Delivery, error: str) -> Sent:
    """The channel takes nothing more: what is meant for it waits until a person has looked."""
    with outbox.book() as book:
        book.put_off(one, error, book.now)
        if book.close(one.channel, error):
            key = f"closed-{one.channel}-{book.now.timestamp():.0f}"
            to_do = f"Put it right, then `ml-platform alerts open {one.channel}`."
            sentence = f"Channel {one.channel} is closed"
            words = ("channel.closed", key, sentence, f"Its messages wait. {to_do} {error}")
            _tell_elsewhere(book, channels, one, words)
    return Sent(put_off=1)


def _tell_elsewhere(
    book: Book, channels: Mapping[str, Channel], one: Delivery, words: tuple[str, str, str, str]
) -> None:
    """Held for a moment, so that the end of many messages is told in one.

    The words are the kind of event, its key, a title and a summary.
    """
    rule, (kind, key, sentence, summary) = book.rules().get(one.rule), words
    message = notice(kind, key, sentence, about=one.message, summary=summary, now=book.now)
    apart = replace(message, dedup_key=f"{kind}-{one.channel}")
    due_at = book.now + timedelta(seconds=PAUSE_S)
    for name in elsewhere(rule, one.channel, sorted(channels), book.closed()):
        book.deliver(apart, f"{one.rule}!", name, status="held", due_at=due_at)


def gather(book: Book, place: Place) -> int:
    """Make one message of what was held for a rule and channel until now; how many were made."""
    groups = book.due_groups()
    for rule, channel in groups:
        count, newest = book.held(rule, channel, MOST_ITEMS)
        if count == 1:
            book.release(newest[0].id)
            continue
        key = f"digest-{short_id(rule, channel, str(newest[-1].id))}"
        messages = [one.message for one in newest]
        book.deliver(digest_of(messages, count, rule, key, place), rule, channel)
        book.gathered(rule, channel, key)
    return len(groups)
