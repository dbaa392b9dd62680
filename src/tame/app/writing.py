"""`tame predict --prompt`: what a delivered language model writes after a beginning, as it writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tame.app.predict import open_model
from tame.core.errors import require
from tame.kinds.language.commands import LANGUAGE_MODEL
from tame.kinds.language.prediction import written
from tame.report.language_section import NO_ADVICE

TOKENS, TEMPERATURE = 80, 0.8


def write(
    study: Path, prompt: str, *, tokens: int | None = None, temperature: float | None = None, seed: int = 0,
    store: str | None = None,
) -> Iterator[str]:  # fmt: skip
    """The text that follows the prompt, in pieces as they are written; the same for the same seed.

    tokens: at most; temperature: 0 writes what is likeliest. Raises UsageError for a study without a language model,
    and for a prompt that is longer than the model can see.
    """
    count = TOKENS if tokens is None else tokens
    require(count >= 1, f"--tokens must be 1 or more, got {count}")
    whole = prompt.encode("utf-8", "ignore").decode() == prompt
    require(whole, "the prompt is not valid UTF-8: some of its bytes are no characters")
    network = open_model(study, store=store)
    said = f"{study} is not a language model: a prompt is for models of texts"
    require(network.kind == LANGUAGE_MODEL, said)
    own = TEMPERATURE if temperature is None else temperature
    return written(network, prompt, tokens=count, temperature=own, seed=seed)


def remark() -> str:
    """What is to be said beside what a model writes."""
    return NO_ADVICE
