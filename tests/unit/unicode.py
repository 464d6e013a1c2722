"""All of Unicode, as it breaks what measures it."""

from hypothesis import strategies

ANY = strategies.characters(exclude_categories=())  # halves of surrogate pairs, too
# What grows or shrinks in another case or normal form, ...
ODD = "\u0130\u00df\u0149\u01f0\u0390\ufb03\ufdfa\u1e9e\u0131\u017f\u212a\u0301\u0345"
# ... what nobody sees or what turns the direction, and what means something to somebody.
ODD += "\u200b\u200d\u202e\u2066\ufeff\u00ad\0\r\n\t @.\"'<>\\%&;=+"
SHORT = strategies.text(ANY | strategies.sampled_from(ODD), min_size=1, max_size=3)
LONG = strategies.builds(lambda text, times: text * times, SHORT, strategies.integers(1, 400))
TEXTS = strategies.text(ANY | strategies.sampled_from(ODD)) | LONG
