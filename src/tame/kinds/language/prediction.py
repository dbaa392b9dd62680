"""What a delivered language model does: it writes on from the beginning of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import nn

from tame.core.errors import UsageError
from tame.kinds.prediction import Predicted, Prediction, Told
from tame.parts.generation import generate
from tame.parts.llama import Llama, LlamaConfig, read_config
from tame.parts.network import Build, Described, Network
from tame.parts.tokenizer import Tokenizer


def tokenizer_of(content: bytes, config: LlamaConfig, *, where: str) -> Tokenizer:
    """The tokenizer that belongs to a model. Raises UsageError where it does not."""
    return Tokenizer(content, ids=config.vocab_size, where=where)


def empty_network(described: Described, build: Build | None) -> nn.Module:
    """The model that weights are loaded into."""
    return Llama(read_config(described.prepared["config"], where="model.json"))


def written(network: Network, prompt: str, *, tokens: int, temperature: float, seed: int) -> Iterator[str]:
    """What a delivered model writes after a prompt, in pieces. Raises UsageError as `generate`."""
    model, own = network.module, tokenizer_in(network)
    assert isinstance(model, Llama)
    begun = [model.config.bos_token_id, *own.encode(prompt).ids.tolist()]
    found: list[int] = []
    said = own.decode(begun)
    for token in generate(model, begun, tokens=tokens, temperature=temperature, seed=seed):
        found.append(token)
        whole = own.decode([*begun, *found])
        if not whole.endswith("\ufffd"):  # half of a letter
            yield whole[len(said) :]
            said = whole


def tokenizer_in(network: Network) -> Tokenizer:
    """The tokenizer that came with a delivered model."""
    assert isinstance(network.module, Llama)
    content = bytes(network.arrays["tokenizer"].numpy().tobytes())
    return tokenizer_of(content, network.module.config, where="the tokenizer of the model folder")


def verify(network: Network) -> None:
    """Nothing, where the tokenizer belongs to the model. Raises UsageError."""
    tokenizer_in(network)


def of_paths(network: Network, inputs: Sequence[Path]) -> Predicted:
    """Nothing: a language model writes on from a prompt."""
    raise UsageError("this is a language model, which writes: tame predict STUDY --prompt 'The first words'")


def of_inputs(network: Network, x: object, *, by_place: bool) -> Told:
    """Nothing: see `of_paths`."""
    raise UsageError("this is a language model, which writes: use write('The first words')")


PREDICTION = Prediction(empty=empty_network, of_paths=of_paths, of_inputs=of_inputs, verify=verify)
