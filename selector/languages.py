"""Languages by code and by name: what a user writes, as the code that model cards use."""

from __future__ import annotations

from functools import cache
from typing import Final

NAMES: Final = {
    "af": "Afrikaans",
    "ar": "Arabic",
    "az": "Azerbaijani",
    "be": "Belarusian",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "bs": "Bosnian",
    "ca": "Catalan",
    "cs": "Czech",
    "cy": "Welsh",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "gl": "Galician",
    "gu": "Gujarati",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "ka": "Georgian",
    "kk": "Kazakh",
    "kn": "Kannada",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "mk": "Macedonian",
    "ml": "Malayalam",
    "mr": "Marathi",
    "ms": "Malay",
    "mt": "Maltese",
    "ne": "Nepali",
    "nl": "Dutch",
    "no": "Norwegian",
    "pa": "Punjabi",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sq": "Albanian",
    "sr": "Serbian",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tl": "Tagalog",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "uz": "Uzbek",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""ISO 639-1 codes of the languages that makers of multilingual models name most, with their English names."""
OTHER_SPELLINGS: Final = {"nb": "no", "nn": "no", "iw": "he", "farsi": "fa", "mandarin": "zh", "castilian": "es", "filipino": "tl"}


def code_of(text: str) -> str | None:
    """The code of a language given by code, with or without a region, or by English name; None where it is not known.

    >>> code_of("German"), code_of("de-AT"), code_of(" EN "), code_of("Klingon")
    ('de', 'de', 'en', None)
    """
    word = text.strip().casefold()
    word = OTHER_SPELLINGS.get(word, word)
    if word in NAMES:
        return word
    if word in _by_name():
        return _by_name()[word]
    short = word.replace("_", "-").partition("-")[0]
    short = OTHER_SPELLINGS.get(short, short)
    return short if short in NAMES and len(short) < len(word) else None


def name_of(code: str) -> str:
    """Its English name."""
    return NAMES.get(code, code)


@cache
def _by_name() -> dict[str, str]:
    return {name.casefold(): code for code, name in NAMES.items()}
