"""How wide a text is when drawn: enough to wrap labels without a font at hand."""

from __future__ import annotations

NARROW = frozenset("iljtfr.,:;'|!()[]I ")
WIDE = frozenset("mwMW@%—…")


def text_width(text: str, size_px: float) -> float:
    """Width in pixels of `text` in Source Sans at `size_px`, within about 8 % and rather too wide."""
    return sum(_em(sign) for sign in text) * size_px


def wrapped(text: str, size_px: float, width_px: float) -> list[str]:
    """`text` broken at spaces into lines of at most `width_px`; a single longer word is cut into pieces."""
    lines: list[str] = []
    line = ""
    for word in _pieces(text, size_px, width_px):
        longer = f"{line} {word}".strip()
        if line and text_width(longer, size_px) > width_px:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line] if line else lines


def _pieces(text: str, size_px: float, width_px: float) -> list[str]:
    pieces: list[str] = []
    for word in text.split():
        rest = word
        while text_width(rest, size_px) > width_px and len(rest) > 1:
            keep = max(1, next(n for n in range(len(rest), 0, -1) if n == 1 or text_width(rest[:n], size_px) <= width_px))
            pieces.append(rest[:keep])
            rest = rest[keep:]
        pieces.append(rest)
    return pieces


def _em(sign: str) -> float:
    if sign in NARROW:
        return 0.29
    if sign in WIDE or ord(sign) > 0x2E80:
        return 0.86 if ord(sign) < 0x2E80 else 1.0
    return 0.58 if sign.isupper() else 0.51
