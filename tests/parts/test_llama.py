"""The Llama family in plain torch, and what is trained beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tame.core.errors import DataError, RefusedError, UsageError
from tame.core.recipe import AdapterRecipe
from tame.parts.adapters import WHICH, Adapted, halved, nats, room_of, shorter
from tame.parts.generation import generate
from tame.parts.llama import Cache, Llama, open_language_model, plain_product, read_config
from tame.parts.tokenizer import Tokenizer, in_blocks
from tiny_language import TINY, tiny, write_model

STORIES = Path(__file__).parents[2].parent / "shared" / "weights" / "stories260K"


def tokens(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, TINY.vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def test_logits_equal_those_of_transformers_to_the_last_bit() -> None:
    transformers = pytest.importorskip("transformers")
    for config in (TINY, replace(TINY, tie_word_embeddings=False, num_key_value_heads=4)):
        own = tiny(config=config)
        theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config.to_json())).eval()
        theirs.load_state_dict(own.state_dict(), strict=False)
        theirs.tie_weights()
        with torch.no_grad():
            assert torch.equal(own(tokens(3, 20))[0], theirs(tokens(3, 20)).logits)


def test_a_cache_says_what_the_whole_text_says() -> None:
    own, text = tiny(), tokens(2, 12)
    with torch.no_grad():
        whole, cache = own(text), Cache()
        parts = torch.cat([own(some, cache=cache) for some in (text[:, :5], text[:, 5:6], text[:, 6:])], dim=2)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)  # float32
    assert cache.length == 12


def test_a_later_token_changes_nothing_before_it() -> None:
    own, text = tiny(), tokens(1, 10)
    other = text.clone()
    other[0, 7] = (other[0, 7] + 1) % TINY.vocab_size
    with torch.no_grad():
        assert torch.equal(own(text)[0, :, :7], own(other)[0, :, :7])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"auto_map": {"AutoModel": "x.Y"}}, "code of its own"),
        ({"hidden_size": 2**30}, "beyond the limit"),
        ({"num_hidden_layers": 40}, "is missing"),
        ({"vocab_size": 65}, "has shape"),
        ({"model_type": "gpt2"}, "'llama'"),
        ({"attention_bias": True}, "attention_bias"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rotary positions"),
        ({"eos_token_id": 64}, "below 64"),
        ({"rms_norm_eps": "small"}, "above 0"),
        ({"num_key_value_heads": 3}, "heads do not fit"),
    ],
)  # fmt: skip
def test_a_folder_that_does_not_fit_together_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    folder = write_model(tmp_path / "model", tiny(), **changes)
    with pytest.raises((UsageError, RefusedError), match=said):
        open_language_model(folder)


def test_an_adapter_without_its_base_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "some/model", "r": 8}')
    with pytest.raises(UsageError, match=r"holds an adapter, not a model: put it into its base, some/model"):
        open_language_model(tmp_path)


def test_a_folder_opens_as_it_was_written(tmp_path: Path) -> None:
    own = tiny()
    found = open_language_model(write_model(tmp_path / "model", own))
    assert found.name == "model"
    assert found.config == TINY
    with torch.no_grad():
        assert torch.equal(found.module(tokens(1, 9)), own(tokens(1, 9)))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", tiny())
    content = (folder / "tokenizer.json").read_bytes()
    with pytest.raises(DataError, match="embeddings of 40 tokens"):
        Tokenizer(content, ids=40, where="here")
    own = Tokenizer(content, ids=64, where="here")
    found = own.encode("The end. ö")
    assert own.decode(found.ids.tolist()) == "The end. "
    assert int(found.characters.sum()) == len("The end. ö")
    assert own.unknown(found.ids) == 1


def test_config_takes_the_newer_form_of_rotary_positions() -> None:
    values = {**TINY.to_json(), "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}
    del values["rope_theta"]
    assert read_config(values, where="here").rope_theta == 5e5


def adapted(base: Llama, *, dropout: float = 0.0, length: int = 16, seed: int = 3, **changes: object) -> Adapted:
    own = Adapted(base, AdapterRecipe(**changes), length=length, dropout=dropout, seed=seed)  # type: ignore[arg-type]
    for name, value in own.named_parameters():
        if name.endswith("up"):
            with torch.no_grad():  # as after some training
                value.copy_(0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name))))
    return own


def blocks(num: int, length: int = 16) -> torch.Tensor:
    return torch.cat([tokens(num, length + 1), torch.full((num, 1), 40)], dim=1)


def test_training_begins_from_the_base() -> None:
    base = tiny()
    own = Adapted(base, AdapterRecipe(), length=16, dropout=0.0, seed=0).eval()
    with torch.no_grad():
        plain = nats(base, blocks(2)[:, :-1], plain_product)[0] / (torch.log(torch.tensor(2.0)) * 40)
        torch.testing.assert_close(own(blocks(2))[:, 0], plain, rtol=0, atol=0)


def test_members_together_say_what_each_says_alone() -> None:
    base, x = tiny(), blocks(3)
    members = [adapted(base, rank=rank, matrices=which) for rank, which in ((3, "qv"), (4, "all"), (4, "mlp"))]
    every = [dict((*own.named_parameters(), *own.named_buffers())) for own in members]
    tensors = {name: torch.stack([own[name].detach() for own in every]) for name in every[0]}
    with torch.no_grad():
        together = members[0].eval().stacked(tensors, x, dropout=None, draws=None)
        alone = torch.stack([own.eval()(x) for own in members])
    torch.testing.assert_close(together, alone, rtol=0, atol=2e-6)  # float32


def test_ranks_beyond_a_members_own_change_nothing_and_are_not_trained() -> None:
    own = adapted(tiny(), rank=3).train()
    assert room_of(3) == 4
    own(blocks(2)).sum().backward()
    for name, value in own.named_parameters():
        assert value.grad is not None
        beyond = value.grad[3:] if name.endswith("down") else value.grad[:, 3:]
        assert not beyond.any(), name


@pytest.mark.parametrize("which", WHICH)
def test_merged_adapters_say_the_same(which: str) -> None:
    base = tiny()
    own = adapted(base, rank=5, matrices=which).eval()
    merged, before = own.merge(), base.get_parameter("model.layers.0.self_attn.q_proj.weight").clone()
    with torch.no_grad():
        tensors = {name: value[None] for name, value in (*own.named_parameters(), *own.named_buffers())}
        with_adapter = base(tokens(2, 16), product=own.product(tensors))
        torch.testing.assert_close(with_adapter, merged(tokens(2, 16)), rtol=0, atol=1e-4)
        assert not torch.equal(with_adapter, base(tokens(2, 16)))
    assert torch.equal(base.get_parameter("model.layers.0.self_attn.q_proj.weight"), before)


def test_the_gradient_is_that_of_a_plain_product() -> None:
    base = tiny().double()
    own = adapted(base, rank=4).double().train()
    own(blocks(2)).sum().backward()
    name = "model/layers/1/mlp/down_proj"
    found = own.get_parameter(f"{name}:up").grad
    step = 1e-6
    with torch.no_grad():
        value = own.get_parameter(f"{name}:up")
        value[2, 1] += step
        high = own(blocks(2)).sum()
        value[2, 1] -= 2 * step
        low = own(blocks(2)).sum()
    assert found is not None
    assert float(found[2, 1]) == pytest.approx(float((high - low) / (2 * step)), rel=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_a_base_in_bfloat16_trains_about_alike_and_judges_the_same(tied: bool) -> None:
    model = tiny(config=replace(TINY, tie_word_embeddings=tied))
    found = {}
    for name, half in (("whole", None), ("half", halved(model))):
        own = Adapted(model, AdapterRecipe(), length=16, dropout=0.0, seed=0, half=half)
        with torch.no_grad():
            own.get_parameter("model/layers/0/self_attn/q_proj:up").add_(0.1)
        x = blocks(3, 16)
        bits = own.train()(x)
        bits.mean().backward()
        grad = own.get_parameter("model/layers/1/mlp/down_proj:up").grad
        found[name] = bits.detach(), grad, own.eval()(x).detach()
    torch.testing.assert_close(found["half"][0], found["whole"][0], rtol=2e-2, atol=1e-2)
    assert not torch.equal(found["half"][0], found["whole"][0])
    torch.testing.assert_close(found["half"][1], found["whole"][1], rtol=0.2, atol=2e-3)
    assert torch.equal(found["half"][2], found["whole"][2]), "what is judged is in float32"


def test_dropout_is_of_each_member_and_off_in_judging() -> None:
    base, x = tiny(), blocks(2)
    own = adapted(base, dropout=0.5)
    draws = [torch.rand(2, width, generator=torch.Generator().manual_seed(5)) for width in (16,) * 40]

    def drawn() -> object:
        each = iter(draws)
        return lambda width: next(each).repeat(1, -(-width // 16))[:, :width]

    one = own.train()(x, drawn())
    tensors = {name: torch.stack([value] * 2) for name, value in (*own.named_parameters(), *own.named_buffers())}
    two = own.stacked(tensors, x, dropout=torch.tensor([0.5, 0.0]), draws=drawn())
    torch.testing.assert_close(two[0], one, rtol=0, atol=1e-6)
    torch.testing.assert_close(two[1], adapted(base).train()(x), rtol=0, atol=1e-6)
    assert not torch.allclose(two[0], two[1])


def test_shorter_blocks_hold_the_same_tokens() -> None:
    rows = tokens(2, 17)
    found = shorter(rows, 4)
    assert found.shape == (8, 5)
    assert torch.equal(found[:4, 1:].flatten(), rows[0, 1:])
    assert torch.equal(found[1:4, 0], found[:3, -1])
    with pytest.raises(UsageError, match="does not divide"):
        shorter(rows, 5)


def test_every_token_of_a_text_is_foretold_once() -> None:
    ids = torch.arange(23).numpy()
    found = in_blocks(ids, (ids > 0).astype(int), 8)
    assert found.shape == (3, 10)
    assert [each for each in found[:, 1:-1].flatten().tolist() if each >= 0] == list(range(1, 23))
    assert found[:, -1].tolist() == [8, 8, 6]


def test_writing_repeats_with_its_seed_and_stops_at_the_end() -> None:
    own = tiny()

    def written(seed: int, temperature: float = 1.0) -> list[int]:
        return list(generate(own, [1, 5, 9], tokens=30, temperature=temperature, seed=seed))

    assert written(0) == written(0)
    assert written(0) != written(1)
    assert written(0, 0.0) == written(1, 0.0)
    with torch.no_grad():
        assert written(0, 0.0)[0] == int(own(torch.tensor([[1, 5, 9]]))[0, 0, -1].argmax())
    assert TINY.eos_token_id not in written(0)
    with pytest.raises(UsageError, match="sees 64 at once"):
        list(generate(own, [1] * 40, tokens=25, temperature=1.0, seed=0))
    with pytest.raises(UsageError, match="temperature"):
        list(generate(own, [1], tokens=5, temperature=-1.0, seed=0))


@pytest.mark.skipif(not STORIES.is_dir(), reason="needs the shared weights of stories260K")
def test_a_real_model_goes_on_with_its_story() -> None:
    pytest.importorskip("tokenizers")
    found = open_language_model(STORIES)
    own = Tokenizer(found.tokenizer, ids=found.config.vocab_size, where="stories260K")
    prompt = [found.config.bos_token_id, *own.encode("Once upon a time").ids.tolist()]
    said = own.decode([*prompt, *generate(found.module, prompt, tokens=30, temperature=0.0, seed=0)])
    assert said.startswith("Once upon a time, there was a little girl named Lily.")
