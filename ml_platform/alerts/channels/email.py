"""E-mail over SMTP: plain text and HTML in one letter, threaded by incident, with files.

Sources: RFC 5322 (threads), RFC 3834 (automatic letters), RFC 2919 and RFC 8058 (lists).
"""

import hashlib
import re
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal, Self, cast
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator

from ml_platform.alerts.channels import facts as said
from ml_platform.alerts.channels.base import Remote, Secrets, not_delivered, secret
from ml_platform.alerts.channels.channel import ClosedError, Receipt, RefusedError
from ml_platform.alerts.channels.letter import html
from ml_platform.alerts.channels.letter import text as plain
from ml_platform.alerts.channels.text import clipped, line
from ml_platform.alerts.message import Attachment, Message, Severity
from ml_platform.kernel.clock import system_clock
from ml_platform.kernel.environment import hide
from ml_platform.kernel.errors import PlatformError, SettingsError

LARGEST_FILES = 10_000_000
"""How much all files of a letter may have, in bytes; receivers refuse more."""

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_SUBJECT = 200
_MEDIA_TYPE = re.compile(r"([a-z]+)/([a-z0-9.+-]+)")
_ADDRESS = re.compile(r"[^\s<>()\[\]\\,;:\"@]+@[^\s<>()\[\]\\,;:\"@]+")
_PERMANENT = 500
# What is wrong with the login or the connection's safety is so for the next letter too.
_CLOSING = frozenset({530, 534, 535, 538})


class EmailChannel(Remote):
    """Mailboxes, over an SMTP server."""

    type: Literal["email"] = Field("email", description="E-mail, over SMTP.")
    host: str = Field(description="The SMTP server.")
    port: int = Field(0, ge=0, le=65535, description="Its port; 0 for the usual one of `security`.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How letters travel: encrypted after a greeting, at once, or not."
    )
    ca_file: str = Field("", description="Who vouches for the server, if no public authority does.")
    username: str = Field("", description="The login, if the server wants one.")
    password: str = secret("The login's password, as ${NAME}.", must_be_named=True)
    sender: str = Field(description="Whom letters come from: Name <address>.")
    to: tuple[str, ...] = Field((), description="Who is told: addresses, or Name <address>.")
    cc: tuple[str, ...] = Field((), description="Who is told besides.")
    bcc: tuple[str, ...] = Field((), description="Who is told without the others' knowledge.")
    reply_to: str = Field("", description="Who gets answers, if not the sender.")
    unsubscribe: str = Field(
        "", description="Where readers of digests leave: an https URL or an address."
    )

    @field_validator("sender", "to", "cc", "bcc", "reply_to")
    @classmethod
    def _are_addresses(cls, given: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for one in (given,) if isinstance(given, str) else given:
            if one and "${" not in one and not _addresses([one]):
                raise ValueError(f"{one!r} is no address; write name@example.org")
        return given

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        if not (self.to or self.cc or self.bcc):
            raise ValueError("to: nobody is told; name at least one address")
        if self.password and self.security == "none":
            raise ValueError("security: with none, the password would travel in the clear")
        if bool(self.username) != bool(self.password):
            raise ValueError("username: a login has a username and a password")
        return self

    def _shown(self, message: Message) -> str:
        """The letter's heads and its parts, decoded."""
        people = _People(self.sender, self.to, self.cc, self.bcc, self.reply_to)
        mail = self._letter(message, "", "", people)
        heads = [f"{name}: {value}" for name, value in mail.items() if not name.startswith("MIME")]
        parts = [_shown_part(one) for one in mail.walk() if not one.is_multipart()]
        return "\n".join([*heads, *parts])

    def _letter(self, message: Message, key: str, thread: str, people: "_People") -> EmailMessage:
        mail = EmailMessage(policy=SMTP.clone(max_line_length=200))
        _address(mail, people)
        domain = people.domain
        mail["Subject"] = clipped(said.headline(message), _SUBJECT)
        if key:
            mail["Message-ID"] = _id(key, domain)
        if message.dedup_key:
            root = _id(f"incident {message.dedup_key}", domain)
            mail["In-Reply-To"] = thread or root
            mail["References"] = f"{root} {thread}" if thread and thread != root else root
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        mail["Importance"] = _importance(message)
        if message.items:
            self._as_list(mail, message, people)
        files, remark = _fitting(message)
        mail.set_content(plain(message, self.zone, remark), cte="quoted-printable")
        page = html(message, self.zone, remark)
        mail.add_alternative(page, subtype="html", cte="quoted-printable")
        for one in files:
            _attach(mail, one)
        return mail

    def _as_list(self, mail: EmailMessage, message: Message, people: "_People") -> None:
        """What lets readers sort digests, and leave them."""
        words = re.sub(r"[^a-z0-9]+", "-", f"{message.rule_id or 'digest'}".lower()).strip("-")
        mail["List-Id"] = f"<{clipped(words, 60, end='') or 'digest'}.{people.domain}>"
        target = line(self.unsubscribe)
        if target.startswith("https://"):
            mail["List-Unsubscribe"] = f"<{target}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        else:
            address = target or people.sender
            mail["List-Unsubscribe"] = f"<mailto:{address}?subject={quote('unsubscribe ' + words)}>"

    def _send(self, message: Message, key: str, thread: str) -> Receipt:
        secrets = Secrets(self.subject)
        people = self._people(secrets)
        mail = self._letter(message, key, thread, people)
        mail["Date"] = format_datetime(system_clock())
        with _told(self.subject, secrets), self._server(secrets) as server:
            refused = server.send_message(mail, people.sender, people.everybody)
        own = str(mail["Message-ID"])
        return Receipt(id=own, thread=thread or own, remark=_remark(refused))

    def _people(self, secrets: Secrets) -> "_People":
        """Everybody, with `${NAME}` filled in."""
        to, cc, bcc = (tuple(secrets(one) for one in some) for some in (self.to, self.cc, self.bcc))
        people = _People(secrets(self.sender), to, cc, bcc, secrets(self.reply_to))
        if not people.sender or not people.everybody:
            raise SettingsError(
                self.subject,
                "the sender or the receivers are no addresses",
                allowed="name@example.org, or Name <name@example.org>, with commas between",
                fix="correct the variables that hold them",
            )
        return people

    @contextmanager
    def _server(self, secrets: Secrets) -> Iterator[smtplib.SMTP]:
        """The server, logged in to; a letter it took is not lost by how it says goodbye."""
        host, port = secrets(self.host), self.port or _PORTS[self.security]
        context = ssl.create_default_context(cafile=secrets(self.ca_file) or None)
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, timeout=self.timeout_s, context=context
            )
        else:
            server = smtplib.SMTP(host, port, timeout=self.timeout_s)
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.username:
                server.login(secrets(self.username), secrets(self.password))
            yield server
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
        finally:
            server.close()


@dataclass(frozen=True)
class _People:
    """Whom a letter is from and for, as they were declared."""

    from_: str
    to: Sequence[str]
    cc: Sequence[str]
    bcc: Sequence[str]
    reply_to: str

    @property
    def sender(self) -> str:
        found = _addresses([self.from_])
        return found[0].addr_spec if found else ""

    @property
    def domain(self) -> str:
        """The part of identities behind the @."""
        domain = self.sender.rpartition("@")[2]
        return domain if re.fullmatch(r"[A-Za-z0-9.-]{1,100}", domain) else "ml-platform.invalid"

    @property
    def everybody(self) -> list[str]:
        """Every receiver once."""
        found = _addresses([*self.to, *self.cc, *self.bcc])
        return list(dict.fromkeys(one.addr_spec for one in found))


def _address(mail: EmailMessage, people: _People) -> None:
    """The heads that name people; those who are told unseen are in none of them."""
    heads = {
        "From": [people.from_],
        "To": people.to,
        "Cc": people.cc,
        "Reply-To": [people.reply_to],
    }
    for name, given in heads.items():
        found = _addresses(given)
        if found:
            mail[name] = found


def _addresses(given: Sequence[str]) -> list[Address]:
    """The addresses in texts, each of which may hold several; what is none is left out."""
    parts = [part for one in given for part in re.findall(r'(?:"[^"]*"|[^,"])+', line(one))]
    return [found for found in map(_one_address, parts) if found is not None]


def _one_address(part: str) -> Address | None:
    named = re.fullmatch(r"(?P<name>.*?)\s*<(?P<address>[^<>]*)>", part.strip())
    name, text = (named["name"].strip(' "'), named["address"]) if named else ("", part.strip())
    if not _ADDRESS.fullmatch(text):
        return None
    user, _, domain = text.rpartition("@")
    return Address(name, user, domain)


def _id(what: str, domain: str) -> str:
    """An identity that is the same whenever it is asked for (RFC 5322, 3.6.4)."""
    return f"<{hashlib.sha256(what.encode('utf-8', 'replace')).hexdigest()[:24]}@{domain}>"


def _importance(message: Message) -> str:
    if said.kind(message) == "resolved" or message.severity is Severity.info:
        return "low"
    return "high" if message.severity.rank >= Severity.error.rank else "normal"


def _fitting(message: Message) -> tuple[list[Attachment], str]:
    """The files that fit into one letter, and a sentence about those that do not."""
    taken, left, room = [], [], LARGEST_FILES
    for one in message.attachments:
        if len(one.content) <= room:
            taken.append(one)
            room -= len(one.content)
        else:
            left.append(f"{one.name} ({len(one.content) / 1e6:.1f} MB)")
    if not left:
        return taken, ""
    where = said.first_url(message)
    there = f"; look at {where}" if where else ""
    return taken, f"Not attached, as a letter holds 10 MB: {', '.join(left)}{there}"


def _attach(mail: EmailMessage, one: Attachment) -> None:
    found = _MEDIA_TYPE.fullmatch(one.media_type.lower())
    main, sub = (found[1], found[2]) if found else ("application", "octet-stream")
    if main in {"multipart", "message"}:
        main, sub = "application", "octet-stream"
    mail.add_attachment(one.content, main, sub, filename=clipped(one.name, 100, end=""))


def _shown_part(part: EmailMessage) -> str:
    if part.get_filename():
        size = len(cast("bytes", part.get_payload(decode=True)))
        return f"\n--- attached: {part.get_filename()} ({part.get_content_type()}, {size} bytes)"
    text = part.get_content().replace("\r\n", "\n")
    return f"\n--- {part.get_content_type()}\n{text}"


def _remark(refused: dict[str, tuple[int, bytes]]) -> str:
    told = [f"{who} ({code} {_words(why)})" for who, (code, why) in refused.items()]
    return f"refused: {', '.join(told)}" if told else ""


@contextmanager
def _told(subject: str, secrets: Secrets) -> Iterator[None]:
    """What SMTP's errors mean for the letter."""
    try:
        yield
    except smtplib.SMTPException as error:
        raise _failure(error, subject, secrets) from None
    except (OSError, ValueError) as error:
        # A ValueError is a certificate's or a host's name that is none.
        words = hide(f"{type(error).__name__}: {line(str(error))}", secrets.values)
        raise not_delivered(
            subject, words, fix="look at the server, its port and `security`"
        ) from None


def _failure(error: smtplib.SMTPException, subject: str, secrets: Secrets) -> PlatformError:
    """The error of the channel for one of smtplib's."""
    if isinstance(error, smtplib.SMTPNotSupportedError):
        given = hide(f"the server cannot do what is needed: {error}", secrets.values)
        return ClosedError(subject, given, fix="look at `security` and the login")
    codes, words = _answers(error)
    given = f"the server says {hide(clipped(words, 200), secrets.values)}"
    if not codes or min(codes) < _PERMANENT:
        return not_delivered(subject, given)
    if isinstance(error, smtplib.SMTPAuthenticationError) or set(codes) & _CLOSING:
        return ClosedError(subject, given, fix="correct the login's variables")
    return RefusedError(subject, given, fix="look at the addresses and at what the server says")


def _answers(error: smtplib.SMTPException) -> tuple[list[int], str]:
    """The codes and words of the server's answers; no code where the connection broke."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        return codes, _remark(error.recipients)
    if isinstance(error, smtplib.SMTPResponseException):
        return [error.smtp_code], f"{error.smtp_code} {_words(error.smtp_error)}"
    return [], f"{type(error).__name__}: {line(str(error))}"


def _words(said_: bytes | str) -> str:
    return line(said_.decode("utf-8", "replace") if isinstance(said_, bytes) else said_)
