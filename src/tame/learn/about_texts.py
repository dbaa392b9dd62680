"""Questions about language models: how well they foretell, what adapters train, what is forgotten."""

from __future__ import annotations

from tame.learn.question import Question, Rng, asks, choice
from tame.learn.seen import Seen
from tame.report.formats import number


@asks("texts")
def perplexity_of_bits(seen: Seen, rng: Rng) -> Question:
    bits = round(float(rng.uniform(1, 6)), 1)
    return Question(
        text=f"A language model needs {bits} bits for each token, on average. What is its perplexity?",
        key=2**bits, why="Two to the power of the bits: as if it had to guess among so many tokens.",
    )  # fmt: skip


@asks("texts")
def numbers_of_an_adapter(seen: Seen, rng: Rng) -> Question:
    size, rank = int(rng.choice([256, 512, 1024, 2048])), int(rng.choice([2, 4, 8, 16]))
    return Question(
        text=f"A frozen matrix has {size} rows and {size} columns. How many numbers does an adapter of rank {rank} "
        "train beside it?",
        key=rank * 2 * size, why="Two thin matrices: rank times rows, and rank times columns.",
    )  # fmt: skip


@asks("texts")
def what_was_forgotten(seen: Seen, rng: Rng) -> Question | None:
    other = None if seen.language is None else seen.language.other
    if other is None:
        return None
    before, after = other.bits.before, other.bits.after
    return Question(
        text=f"The other text, which has nothing to do with yours, cost {number(before)} bits per character before "
        f"and {number(after)} after. By how many percent did that change?",
        key=100 * (after / before - 1), tolerance=0.15,
        why="What it costs more is what adapting made the model forget; a model that forgot nothing stays at zero.",
    )  # fmt: skip


@asks("texts")
def what_it_says(seen: Seen, rng: Rng) -> Question:
    options = {
        "sound": "That it sounds like those texts", "true": "That what it writes about them is true",
        "law": "That it knows the subject better than before", "none": "That it has forgotten nothing",
    }  # fmt: skip
    why = "To predict the next word well is to sound alike. Whether it is true was never measured."
    return choice(
        "After adapting, a model needs fewer bits on texts of a kind that it had not seen. What does that show?",
        options, "sound", why=why, rng=rng,
    )  # fmt: skip
