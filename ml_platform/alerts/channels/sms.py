"""How long a text message is, as mobile networks count: in segments of septets or UTF-16 units.

Source: 3GPP TS 23.038 (the default alphabet) and TS 23.040 (concatenation).
"""

from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")

_SIMPLER = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u201a", "'"),
        **dict.fromkeys("\u201c\u201d\u201e", '"'),
        **dict.fromkeys("\u00a0\u2009\u202f", " "),
        "…": "...",
        "·": "-",
        "•": "-",
        "≤": "<=",
        "≥": ">=",
        "→": "->",
        "\u00d7": "x",
    }
)


@dataclass(frozen=True)
class Alphabet:
    """How many units one message holds, and each part of a longer one."""

    name: str
    alone: int
    part: int


GSM_7 = Alphabet("GSM-7", 160, 153)
UCS_2 = Alphabet("UCS-2", 70, 67)


def simpler(text: str) -> str:
    """The text with typographic signs as a telephone's own, so that fewer segments hold it."""
    return text.translate(_SIMPLER)


def alphabet(text: str) -> Alphabet:
    """GSM-7 where it has every character of the text, else UCS-2, as for Korean and emoji."""
    return GSM_7 if set(text) <= _BASIC | _EXTENDED else UCS_2


def segments(text: str) -> int:
    """How many messages the network makes of a text.

    >>> segments("a" * 160), segments("a" * 161), segments("가" * 70), segments("가" * 71)
    (1, 2, 1, 2)
    """
    used = alphabet(text)
    sizes = [_units(character, used) for character in text]
    if sum(sizes) <= used.alone:
        return 1
    count, room = 1, used.part
    for size in sizes:
        # A pair of units is never parted.
        if size > room:
            count, room = count + 1, used.part
        room -= size
    return count


def _units(character: str, used: Alphabet) -> int:
    if used is GSM_7:
        return 1 + (character in _EXTENDED)
    return 1 + (character > "\uffff")
