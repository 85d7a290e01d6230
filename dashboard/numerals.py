"""Numbers in the reader's way: the words stay, the signs between digits change. Names of models and versions keep their points."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final, TypeVar

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class Numerals:
    """A way to write numbers.

    label: an example of it, as it is offered
    group: between thousands
    point: before the decimals
    field: between the fields of a CSV file
    """

    label: str
    group: str
    point: str
    field: str


STYLES: Final = {
    "en": Numerals(label="1,234.50", group=",", point=".", field=","),
    "de": Numerals(label="1.234,50", group=".", point=",", field=";"),
    "fr": Numerals(label="1 234,50", group="\u202f", point=",", field=";"),
    "ch": Numerals(label="1’234.50", group="’", point=".", field=";"),
}
"""By a short name. The second and the third cover most of Europe and South America."""
_COMMA_POINT = frozenset({"de", "es", "it", "nl", "pt", "da", "id", "tr", "el", "ro", "hr", "sl", "sr", "vi", "ca"})
_SPACE_COMMA = frozenset({"fr", "pl", "cs", "sk", "hu", "fi", "sv", "nb", "no", "nn", "ru", "uk", "bg", "et", "lv", "lt"})
_NUMBER = re.compile(
    r"""
    (?<![\w.,/=&?:-])                                   # not inside a word, an address, a version
    (?:(?P<money>-?\$)(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?P<cents>\.\d+)?
      |(?P<grouped>\d{1,3}(?:,\d{3})+)(?P<rest>\.\d+)?
      |(?P<plain>\d+)(?P<decimals>\.\d+)
       (?=\s?%|\ in\ /|\ (?:months?|years?|days?|hours?|M|k|B|USD|FTE|ms|s|GB|TB|W|kW|kWh|tokens|share|TFLOPS|of|out)\b))
    (?![\w/]|\.\d)
    """,
    re.VERBOSE,
)


def style_of(locale: str | None) -> str:
    """The name of the style that readers of a locale such as 'de-CH' are used to; 'en' where nothing is known."""
    language, _, region = (locale or "en").replace("_", "-").partition("-")
    if region.upper() in ("CH", "LI"):
        return "ch"
    if language.lower() == "es" and region.upper() in ("MX", "US", "GT", "HN", "NI", "PA", "PE", "PR", "SV", "DO", "419"):
        return "en"
    if language.lower() in _COMMA_POINT:
        return "de"
    return "fr" if language.lower() in _SPACE_COMMA else "en"


def written(text: str, style: str) -> str:
    """A sentence with its numbers in a style.

    Only what is surely a number of the decision changes: money, thousands, and decimals before a unit.

    >>> written("Llama 3.3 saves $4,558,864.50 in 4.2 months, 8.5 % of it", "de")
    'Llama 3.3 saves $4.558.864,50 in 4,2 months, 8,5 % of it'
    """
    numerals = STYLES[style]
    if (numerals.group, numerals.point) == (",", "."):
        return text

    def changed(found: re.Match[str]) -> str:
        sign = found["money"] or ""
        whole = found["whole"] or found["grouped"] or found["plain"]
        decimals = found["cents"] or found["rest"] or found["decimals"] or ""
        return sign + whole.replace(",", numerals.group) + decimals.replace(".", numerals.point)

    return _NUMBER.sub(changed, text)


def report_in(
    report: Record, style: str, *, keep: frozenset[str] = frozenset({"title", "svg", "qr_svg", "link", "inputs_sha256"})
) -> Record:
    """A record of texts with all its numbers in a style; the fields named in `keep` stay as they are, and so do addresses."""
    if (STYLES[style].group, STYLES[style].point) == (",", "."):
        return report
    changed: Any = replace(report, **{f.name: _in(getattr(report, f.name), style, keep) for f in fields(report) if f.name not in keep})  # type: ignore[type-var, arg-type]
    return changed  # type: ignore[no-any-return]


def _in(value: Any, style: str, keep: frozenset[str]) -> Any:
    if isinstance(value, str):
        return value if value.startswith("http") else written(value, style)
    if isinstance(value, tuple):
        return tuple(_in(part, style, keep) for part in value)
    return report_in(value, style, keep=keep) if is_dataclass(value) and not isinstance(value, type) else value
