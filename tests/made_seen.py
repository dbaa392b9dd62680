"""What lessons see of a language model."""

from __future__ import annotations

from tame.core.evaluation import BeforeAfter, LanguageAnswers, OtherText, Written


def adapted():
    """A model that gained on the sealed passages, forgot something, and wrote one text before and after."""
    written = Written(
        prompt="The tenant", before="The tenant of the house is", after="The tenant shall pay the rent", copied=4,
        words="shall pay the rent", known=0.0, repeated=BeforeAfter(0.0, 0.0),
    )  # fmt: skip
    return LanguageAnswers(
        perplexity=BeforeAfter(24.0, 9.5), tokens=900, characters=4100,
        other=OtherText(bits=BeforeAfter(1.2, 1.5), perplexity=BeforeAfter(20.0, 40.0), characters=2000),
        written=(written,), temperature=0.8, seed=0, trained=12_000, rate=30.0,
    )  # fmt: skip
