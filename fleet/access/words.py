"""Texts that people choose: what is allowed in them."""

from __future__ import annotations

import re
from typing import Final

from fleet.errors import BadInput

NAME_CHARS: Final = 64
NAME_PATTERN: Final = r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?"
_NAME: Final = re.compile(NAME_PATTERN)


def user_name(text: str) -> str:
    """Return a user's name as it is kept, in small letters.

    Raises:
        BadInput: empty, too long, or other than letters, digits and `. _ @ + -`.
    """
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"no user name: 1 to {NAME_CHARS} of a-z, 0-9 and . _ @ + -, a letter or digit at both ends"
        )
    return name


def check_text(text: str, what: str, chars: int) -> str:
    """Return a text without blanks around it.

    Raises:
        BadInput: empty, too long, or it has letters that nobody can read.
    """
    word = text.strip()
    if not word or len(word) > chars or not word.isprintable():
        raise BadInput(f"{what} is 1 to {chars} readable letters")
    return word
