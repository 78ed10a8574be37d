"""Messages that no document answers: greetings, thanks, and questions about the assistant itself.

Why: with documents in the library a question is looked up, and "Hello" would be told that nothing
is near. A closed list of whole messages, so that no question about a document is caught.
"""

import re

_GREETING = (
    r"(?:hello|hi|hey|hiya|greetings|good (?:morning|afternoon|evening|night|day))"
    r"(?: (?:there|again|all|everyone|you|friend|mlx toy))?"
)
_PHRASES = (
    _GREETING,
    r"how (?:are|re) (?:you|things)(?: doing)?(?: today)?|how do you do|how is it going|what s up",
    r"(?:nice|good|pleased) to meet you|welcome(?: back)?",
    r"(?:many )?(?:thanks|thank you)(?: a lot| very much| so much| again)?"
    r"(?: for (?:that|this|it|(?:your|the) help|helping(?: me)?|telling me))?",
    r"(?:that|this|it|you)(?: is| s| was| are| re)?(?: really| very| so| all)?"
    r" (?:great|good|nice|cool|fine|perfect|helpful|wonderful|awesome|kind|clear|interesting)",
    r"i see|got it|understood|al(?:l )?right|never mind|no problem|(?:that is|that s|that was) all",
    r"(?:good)?bye|bye bye|see you(?: later| soon| tomorrow)?|have a nice day",
    r"(?:ok|okay|cool|great|nice|perfect|good|fine|well done|sorry|please|yes|no)",
    r"(?:who|what) (?:are|re) you|what (?:is|s) your name|do you have a name",
    r"(?:what|how) can you (?:do|help)(?: me| for me)?(?: with)?",
    r"what do you do|can you help(?: me)?",
    r"who (?:made|built|trained|created|wrote) you|how (?:were|are) you (?:made|trained)",
    r"are you (?:an? )?(?:ai|robot|human|person|bot|language model|real|chatgpt)",
    r"(?:please )?(?:tell|write)(?: me)? (?:about yourself|an? (?:\w+ )?(?:story|joke|poem)\b.*)",
    r"(?:my name is|i am|i m) \w+|help(?: me)?",
)
_PART = re.compile("|".join(f"(?:{phrase})" for phrase in _PHRASES))
MAX_LENGTH = 200  # characters: longer messages are about something


def is_small_talk(message: str) -> bool:
    """Whether a message is nothing but that."""
    if len(message) > MAX_LENGTH:
        return False
    parts = [_plain(part) for part in re.split(r"[.!?,;:\n]+", message)]
    parts = [part for part in parts if part]
    return bool(parts) and all(map(_PART.fullmatch, parts))


def _plain(text: str) -> str:
    """Lower-case words with single spaces."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
