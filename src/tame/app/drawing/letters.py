"""Writes the letters of `tame demo --text`: what people write to a botanic garden, with a few planted faults.

Every letter is put together from sentences of this file by random numbers, so it needs neither network nor licence.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from tame.app.drawing.shapes import Rng
from tame.core.errors import require
from tame.core.files import write_text
from tame.core.rng import stream

TARGET, LETTER = "topic", "letter"
IDENTIFIER, LEAK = "number", "reply"  # columns that are faults
COLUMNS = (IDENTIFIER, "day", "writer", LETTER, LEAK, TARGET)
WRITERS = ("guest", "member", "school")
ASIDE = (0.5, 0.35, 0.15)  # shares of letters with no, one and two sentences about other topics
SENTENCES = (3, 5)  # about the topic, from and to

# Words for the places in the sentences below. Few words stand between two of them: letters share no long run by chance.
PLACES: Mapping[str, Sequence[str]] = {
    "plant": (
        "roses", "ferns", "orchids", "water lilies", "cacti", "maples", "irises", "peonies", "magnolias", "mosses",
        "tree ferns", "snowdrops", "foxgloves", "wild garlic", "sundews", "lilacs",
    ),
    "animal": (
        "hedgehog", "kingfisher", "grass snake", "stag beetle", "red fox", "tawny owl", "newt", "bumblebee queen",
        "dragonfly", "bat", "slow worm", "woodpecker", "swallowtail", "heron", "weasel", "hawk moth",
    ),
    "spot": (
        "palm house", "rock garden", "lower pond", "herb beds", "arboretum", "east gate", "rose walk", "old orchard",
        "bog garden", "tea room", "seed shop", "alpine house", "birch grove", "north lawn", "bee garden", "main gate",
    ),
    "time": (
        "on Monday", "last weekend", "this morning", "on Easter Sunday", "yesterday evening", "in early June",
        "on our second visit", "just before closing", "around noon", "after the rain", "on Thursday", "two weeks ago",
    ),
    "soon": (
        "next Saturday", "in the autumn holidays", "at the end of May", "on a Tuesday", "in the first week of July",
        "over Christmas", "in the evening", "on a bank holiday", "tomorrow", "in the snow", "early in March",
    ),
    "who": (
        "my mother", "our class", "the children", "two friends", "my wife", "an old neighbour", "my grandson",
        "our walking group", "a visitor from Japan", "the whole family", "my brother", "a colleague", "thirty pupils",
    ),
    "good": (
        "wonderful", "calm", "well kept", "full of colour", "quiet", "lovingly planted", "fragrant", "surprising",
        "better than ever", "green", "friendly", "rich", "cheerful",
    ),
    "bad": (
        "dirty", "locked", "far too loud", "broken", "overpriced", "muddy", "badly signposted", "crowded", "dry",
        "overgrown", "cold", "unlit", "without a bench",
    ),
    "staff": (
        "gardener", "guide", "man at the till", "volunteer", "head of the nursery", "lady in the shop", "student",
        "warden", "cook", "guard",
    ),
    "number": ("two", "three", "four", "five", "six", "seven", "eight", "ten", "twelve", "twenty"),
}  # fmt: skip
TOPICS: Mapping[str, Sequence[str]] = {
    "visit": (
        "Is the {spot} open {soon}?", "We would like to bring {who} to the {spot} {soon}.",
        "How much is a ticket for {number}?", "May {who} take a dog into the {spot}?",
        "Will the {plant} be in flower {soon}?",
        "Is there a tour of the {spot} {soon}?", "Can {who} reach the {spot} in a wheelchair?",
        "Which gate is nearest to the {spot}?", "Could {who} book {number} places {soon}?",
        "Do you close early {soon}, or just the {spot}?", "When is the best time for the {plant}?",
    ),
    "complaint": (
        "The {spot} was {bad} {time}.", "{who} waited {number} hours at the {spot}.",
        "Nobody had watered the {plant}.", "The {staff} was rude to {who}.",
        "I paid for {number} {time} and got in with none.", "The path to the {spot} is {bad}.",
        "A {staff} told {who} to leave {time}.", "I want my money for {number} tickets back.",
        "The labels of the {plant} are {bad}.", "Is that how you treat {who} at the {spot}?",
        "The {plant} by the {spot} have been left to die.",
    ),
    "sighting": (
        "{who} saw a {animal} near the {spot} {time}.", "A {animal} sat among the {plant}.",
        "There were {number} young ones beside the {spot}.", "I photographed a {animal} {time}.",
        "It was as big as {number} coins.", "The {animal} flew off towards the {spot}.",
        "Could it have been a {animal}?", "{who} counted {number} of them {time}.", "It had come for the {plant}.",
        "Its nest must be close to the {spot}.", "Has {who} seen a {animal} too?",
    ),
    "thanks": (
        "The {spot} was {good} {time}.", "Please thank the {staff} for us.", "{who} talked of the {plant} for days.",
        "We spent {number} happy hours in the {spot}.", "The {staff} was so kind to {who}.",
        "Your {plant} are {good} this year.", "What a {good} place the {spot} is.", "{who} loved every minute.",
        "I have told {number} people about the {plant}.", "The talk {time} was {good}.",
        "We will come to see the {plant} {soon}.",
    ),
}  # fmt: skip
OPENINGS = ("Hello,", "Dear all,", "Good morning,", "Dear garden,", "Hi there,", "To whom it may concern,", "")
CLOSINGS = ("Best wishes", "Yours", "With kind regards", "Thank you", "Greetings from the city", "See you", "")
REPLIES: Mapping[str, str] = {
    "visit": "We look forward to your visit {soon}.",
    "complaint": "We have registered your complaint about the {spot}.",
    "sighting": "We have entered your sighting at the {spot}.",
    "thanks": "Many thanks from the {staff} and all others.",
}
MORE = ("The {plant} are {good} now.", "The {spot} is {good} {soon}.", "{who} can ask the {staff}.")
GREETINGS = ("Dear friend,", "Hello,", "Good day,", "Dear reader,")
AGAIN = (" Kind regards", " (sent again)", "!", " PS: please answer")  # after a letter that is sent once more


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFaults:
    """How many rows of each kind are planted.

    copies: equal to another row; near: with a letter that differs from another in a few words only; conflicts: equal
    to another but for the topic, and for the reply that follows it; unlabelled: without a topic; empty: without a
    letter.
    """

    copies: int = 0
    near: int = 0
    conflicts: int = 0
    unlabelled: int = 0
    empty: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            require(getattr(self, each.name) >= 0, f"there cannot be {getattr(self, each.name)} {each.name}")


def write_letters(path: Path, *, seed: int, rows: int, faults: LetterFaults) -> None:
    """Writes a CSV table of letters, planted rows included. The same arguments give the same bytes.

    Besides the planted rows, a column numbers the letters, and the replies give the topic away. Raises UsageError if
    there are more faults than rows.
    """
    again = faults.copies + faults.near + faults.conflicts
    need = 2 * again + faults.unlabelled + faults.empty
    require(need <= rows, f"these faults need {need} rows, got {rows}")
    rng = stream(seed, "letters")
    own = [_row(rng, number) for number in range(1, rows - again + 1)]
    letter, target = COLUMNS.index(LETTER), COLUMNS.index(TARGET)
    some = iter(rng.permutation(len(own)).tolist())
    copied = [list(own[next(some)]) for _ in range(again)]
    for row in copied[: faults.conflicts]:
        row[target] = _drawn(rng, [each for each in TOPICS if each != row[target]])
        row[COLUMNS.index(LEAK)] = _reply(rng, row[target])
    for row in copied[faults.conflicts : faults.conflicts + faults.near]:
        row[letter] += _drawn(rng, AGAIN)
    for _ in range(faults.unlabelled):
        own[next(some)][target] = ""
    for _ in range(faults.empty):
        own[next(some)][letter] = ""
    every = [*own, *copied]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(every[row] for row in rng.permutation(len(every)))
    write_text(path.parent, path.name, text.getvalue())


def _row(rng: Rng, number: int) -> list[str]:
    """One row, in the order of COLUMNS."""
    topic = _drawn(rng, list(TOPICS))
    day = f"2026-{int(rng.integers(3, 11)):02d}-{int(rng.integers(1, 29)):02d}"
    return [f"L{number:05d}", day, _drawn(rng, WRITERS), _letter(rng, topic), _reply(rng, topic), topic]


def _letter(rng: Rng, topic: str) -> str:
    """A letter on a topic, some with sentences on others."""
    low, high = SENTENCES
    own = rng.permutation(len(TOPICS[topic]))[: int(rng.integers(low, high + 1))]
    parts = [TOPICS[topic][place] for place in own]
    for _ in range(int(rng.choice(len(ASIDE), p=ASIDE))):
        other = _drawn(rng, [each for each in TOPICS if each != topic])
        parts.insert(int(rng.integers(len(parts) + 1)), _drawn(rng, TOPICS[other]))
    said = " ".join([_drawn(rng, OPENINGS), *(_filled(rng, part) for part in parts), _drawn(rng, CLOSINGS)])
    return said.strip()


def _reply(rng: Rng, topic: str) -> str:
    """What the garden answered, once it knew the topic."""
    return " ".join([_drawn(rng, GREETINGS), *(_filled(rng, each) for each in (REPLIES[topic], _drawn(rng, MORE)))])


def _filled(rng: Rng, sentence: str) -> str:
    """A sentence with words in its places."""
    found = re.sub(r"{(\w+)}", lambda place: _drawn(rng, PLACES[place[1]]), sentence)
    return found[0].upper() + found[1:]


def _drawn(rng: Rng, some: Sequence[str]) -> str:
    return some[int(rng.integers(len(some)))]
