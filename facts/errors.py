"""The one exception for wrong input."""


class InputError(ValueError):
    """What the user gave cannot be used: one sentence with the thing, both numbers and the way out."""
