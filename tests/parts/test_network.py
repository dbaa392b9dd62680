"""Fine-tuned backbones in their plain architecture, heads on plain features, and model folders."""

from __future__ import annotations

import json
import os
import resource
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from tame.core.errors import RefusedError, UsageError
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.core.sums import sha256_of, write_sums
from tame.data.encode import Encoder
from tame.data.tables import MISSING, UNSEEN, Column, Table
from tame.kinds.arrays.prediction import judge_arrays
from tame.kinds.materials import read_model
from tame.kinds.pictures.inference import fold_norms, folded_pairs
from tame.kinds.pictures.tasks import FeatureTask, Tuned, tuned_backbone
from tame.kinds.tables.material import columns_of
from tame.kinds.tables.prediction import columns_from, judge_rows, restored
from tame.kinds.tables.text_features import no_encoder
from tame.parts.backbones import Backbone, build_backbone, cut, open_backbone
from tame.parts.familiar import familiar
from tame.parts.mlp import build_table_model, head_of
from tame.parts.models import MODELS, init_module
from tame.parts.network import Network, plain_head, write_network
from tame.trial.population import Examples, Member
from tame.trial.stacked import Stacked

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("mobilenetv2_050", "resnet10t")
SIZE = 64
CPU = torch.device("cpu")
PROBE = torch.linspace(-1, 1, 3 * SIZE**2).view(1, 3, SIZE, SIZE)


def shake_norms(module):
    """Statistics and weights as training leaves them, so that folding a norm is not trivial."""
    chance = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2, generator=chance)
            part.running_var.uniform_(0.5, 1.5, generator=chance)
            part.weight.data.uniform_(0.5, 1.5, generator=chance)
            part.bias.data.normal_(0, 0.2, generator=chance)


@pytest.fixture(scope="module", params=NAMES)
def backbone(request):
    torch.manual_seed(0)
    module = timm.create_model(request.param, pretrained=False, num_classes=0)
    shake_norms(module)
    config = {"architecture": request.param, "input_size": [3, SIZE, SIZE], "mean": [0.5] * 3, "std": [0.25] * 3}
    return build_backbone(config, module.state_dict(), name=request.param, digest="0")


def linear_head(features, classes):
    return head_of(features, classes, Recipe().model)


def pictures(num=4, seed=0):
    return torch.from_numpy(stream(seed, "pictures").normal(size=(num, 3, SIZE, SIZE))).float()


def trained_a_little(upper, head):
    """A few steps that move every parameter of the upper part."""
    tuned = Tuned(upper.requires_grad_(True), head).train()
    for part in tuned.upper.parameters():
        part.data += (
            0.02 * part.data.std().nan_to_num(0.1) * torch.randn(part.shape, generator=torch.Generator().manual_seed(2))
        )
    return tuned.eval()


@torch.no_grad()
def test_the_delivered_backbone_gives_the_features_of_the_trained_one(backbone):
    """Whose norms were folded into its convolutions, and whose upper stages were then trained."""
    folded = fold_norms(backbone.module, PROBE)
    pairs = folded_pairs(backbone.module, PROBE)
    assert len(pairs) > 10, "there is something to fold"
    for unfrozen in (1, len(backbone.stages)):
        lower, upper = cut(replace(backbone, module=folded), unfrozen)
        head = linear_head(backbone.num_features, 3)
        tuned = trained_a_little(upper, head)
        delivered = tuned_backbone(backbone, folded, pairs, tuned)
        x = pictures()
        wanted = tuned.upper(lower(x))
        found = delivered.module(x)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
        plain = backbone.module(x)
        assert (found - plain).abs().max() > 1e-3 * plain.abs().max(), "training changed nothing"
        assert delivered.digest != backbone.digest
        assert [name for name, _ in delivered.module.named_parameters()] == [
            n for n, _ in backbone.module.named_parameters()
        ]


@torch.no_grad()
def test_an_untrained_folded_backbone_is_delivered_as_it_was(backbone):
    folded, pairs = fold_norms(backbone.module, PROBE), folded_pairs(backbone.module, PROBE)
    _, upper = cut(replace(backbone, module=folded), 1)
    delivered = tuned_backbone(backbone, folded, pairs, Tuned(upper, linear_head(backbone.num_features, 2)))
    wanted = backbone.module(pictures())
    torch.testing.assert_close(delivered.module(pictures()), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


class WithBias(nn.Sequential):
    """A convolution with a bias of its own before its norm, which few networks have."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@torch.no_grad()
def test_a_bias_before_a_norm_is_not_counted_twice():
    module = WithBias()
    shake_norms(module)
    module.eval()
    own = Backbone("own", module, {}, "0", 4, ())
    folded, pairs = fold_norms(module, PROBE), folded_pairs(module, PROBE)
    assert pairs == [("0", "1")]
    delivered = tuned_backbone(own, folded, pairs, Tuned(folded, linear_head(4, 2)))
    torch.testing.assert_close(delivered.module(pictures()), module(pictures()), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_two_parts_of_a_cut_backbone_are_the_whole(backbone):
    for unfrozen in range(1, len(backbone.stages) + 1):
        lower, upper = cut(backbone, unfrozen)
        torch.testing.assert_close(upper(lower(pictures(2))), backbone.module(pictures(2)), rtol=1e-5, atol=1e-5)
    for wrong in (0, len(backbone.stages) + 1):
        with pytest.raises(UsageError, match="stages that can be unfrozen"):
            cut(backbone, wrong)


def test_norms_of_a_tuned_network_keep_their_statistics(backbone):
    _, upper = cut(backbone, 1)
    tuned = Tuned(upper, linear_head(backbone.num_features, 2)).train()
    assert tuned.training
    norms = [part for part in tuned.upper.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert not any(part.training for part in norms)


# Heads ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [torch.tensor(0.37), torch.tensor([0.1, 0.1, 2, 2, 2, 0.5])])
@pytest.mark.parametrize("hidden", [0, 7])
def test_a_head_on_plain_features_gives_the_logits_of_the_one_on_scaled_features(hidden, scale):
    plain = torch.from_numpy(5 + 3 * stream(0, "features").normal(size=(1, 20, 6))).float()
    shift = plain[0].mean(dim=0)
    examples = Examples(torch.arange(20) % 3, torch.full((20,), -1), 3)
    engine = Stacked(FeatureTask((plain - shift) * scale, examples, CPU))
    recipe = Recipe().but({"model.hidden": hidden, "model.dropout": 0.3, "epochs": 3})
    population = engine.advance(engine.start([Member(0, None, recipe)]), until=3, watch=lambda *_: None)
    head = plain_head(engine.module(population, 0), shift=shift, scale=scale)
    assert not head.training
    torch.testing.assert_close(head(plain[0]), engine.predict(population, torch.arange(20))[0], rtol=1e-5, atol=1e-5)


# Model folders --------------------------------------------------------------------------------------------------------


def network_of(backbone, hidden=5):
    recipe = Recipe().but({"model.hidden": hidden, "model.dropout": 0.2, "input.size": SIZE, "optimizer.lr": 0.1 + 0.2})
    head = head_of(backbone.num_features, 3, recipe.model)
    init_module(head, seed=0)
    labels = ("cat", "dög", "emu \U0001f600")
    run = {"precision": "float32"}
    return Network("images", "multiclass", recipe, labels, head.eval(), backbone, run, 384)


def scratch_network(name="cnn"):
    recipe = Recipe().but({"model.name": name, "model.width": 4, "input.size": 32})
    module = MODELS.get(name)(recipe.model, 2)
    init_module(module, seed=1)
    shake_norms(module)
    return Network("images", "binary", recipe, ("a", "b"), module.eval(), shortest=384)


@torch.no_grad()
def test_a_network_comes_back_from_its_folder_with_the_same_logits(backbone, tmp_path):
    network = network_of(backbone)
    files = write_network(network, tmp_path / "model")
    found = read_model(tmp_path / "model")
    assert (found.recipe, found.labels, found.run, found.shortest) == (network.recipe, network.labels, network.run, 384)
    assert (found.kind, found.task) == ("images", "multiclass")
    x = pictures()
    assert torch.equal(found.module(found.backbone.module(x)), network.module(backbone.module(x)))
    assert dict(found.backbone.config) == dict(backbone.config)
    assert (found.backbone.name, found.backbone.digest) == (backbone.name, backbone.digest)
    assert not found.module.training
    assert write_network(found, tmp_path / "again") == files, "the same network, the same files"
    assert sorted(os.listdir(tmp_path / "model")) == ["SHA256SUMS", "model.json", "model.safetensors"]
    assert sorted(files) == ["model.json", "model.safetensors"]
    assert all((tmp_path / "model" / name).stat().st_mode & 0o077 == 0 for name in files)


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS.names())
def test_a_network_from_scratch_comes_back_with_the_same_logits(name, tmp_path):
    network = scratch_network(name)
    write_network(network, tmp_path)
    found = read_model(tmp_path)
    assert found.backbone is None
    x = pictures(3)[:, :, :32, :32]
    assert torch.equal(found.module(x), network.module(x))


def table_of(num=40):
    rng = stream(0, "table")
    words = ("red", "green", "blue", "rare \U0001f600")
    values = {
        "size": rng.gamma(2, size=num), "empty": np.where(rng.random(num) < 0.3, np.nan, rng.normal(size=num)),
        "colour": rng.integers(-1, 4, size=num), "town": rng.integers(0, 12, size=num),
    }  # fmt: skip
    columns = (
        Column("size", "number", "numbers"), Column("empty", "number", "numbers", missing=12),
        Column("colour", "category", "text", missing=5, categories=words),
        Column("town", "category", "text", categories=tuple(f"t{i}" for i in range(12))),
    )  # fmt: skip
    return Table(columns, values, num)


def table_network(changes=None, labels=("no", "yes")):
    """Trained on nothing, but fitted to a real table, with its encoder as `TableMaterial` delivers it."""
    changes = {"table.numbers": "periodic", "table.one_hot": 5, "model.norm": "batch", **(changes or {})}
    recipe = Recipe().but({"model.name": "mlp", "model.width": 6, "loss.name": "cross_entropy" if labels else "mse"})
    recipe, table = recipe.but(changes), table_of()
    encoder = Encoder.fit(table, np.arange(30), recipe.table)
    columns = columns_of(encoder, recipe)
    module = build_table_model(columns, max(len(labels), 1), recipe.model)
    init_module(module, seed=2)
    prepared = {
        "columns": [column.to_json() for column in table.columns], "encoder": encoder.to_json(),
        "model_columns": columns.to_json(), "target": {"shift": 3.5, "scale": 2.0},
    }  # fmt: skip
    arrays = {name: torch.from_numpy(np.array(value)) for name, value in encoder.tensors().items()}
    task = "binary" if labels else "regression"
    network = Network("table", task, recipe, labels, module.eval(), prepared=prepared, arrays=arrays)
    return network, encoder, table


@torch.no_grad()
@pytest.mark.parametrize("labels", [("no", "yes"), ()])
@pytest.mark.parametrize("numbers", ["plain", "piecewise", "periodic"])
@pytest.mark.parametrize("scaling", ["standard", "quantile"])
def test_a_network_of_a_table_comes_back_with_its_encoder(tmp_path, labels, numbers, scaling):
    network, encoder, table = table_network({"table.numbers": numbers, "table.scaling": scaling}, labels)
    files = write_network(network, tmp_path / "model")
    found = read_model(tmp_path / "model")
    assert (found.kind, found.task, found.labels) == ("table", network.task, labels)
    assert columns_from(found) == table.columns
    table.values["colour"][:2], table.values["town"][:2] = MISSING, UNSEEN
    x = encoder.transform(table)
    np.testing.assert_array_equal(restored(found).dense(table, None, no_encoder), x)
    outputs = judge_rows(found, table, device=CPU)
    wanted = network.module(torch.from_numpy(x))
    assert torch.equal(outputs, wanted if labels else wanted.double() * 2.0 + 3.5)
    rows = np.array([5, 0, 39])
    torch.testing.assert_close(judge_rows(found, table, rows, device=CPU), outputs[rows])
    assert judge_rows(found, table, rows[:0], device=CPU).shape == (0, max(len(labels), 1))
    assert write_network(found, tmp_path / "again") == files


@torch.no_grad()
@pytest.mark.parametrize("labels", [("no", "yes"), ()])
def test_members_that_judge_together_come_back_with_their_temperature(tmp_path, labels):
    """The mean of probabilities, or of numbers; the logits are divided afterwards."""
    first, encoder, table = table_network({"model.width": 6}, labels)
    second, other, _ = table_network({"model.width": 9, "table.numbers": "plain"}, labels)
    seen = torch.from_numpy(encoder.transform(table)).repeat(5, 1)
    together = replace(first, others=(second,), temperature=1.7 if labels else 1.0, familiar=familiar(seen))
    files = write_network(together, tmp_path / "model")
    found = read_model(tmp_path / "model")
    each = [
        network.module(torch.from_numpy(own.transform(table))).double()
        for network, own in ((first, encoder), (second, other))
    ]
    outputs = judge_rows(found, table, device=CPU).double()
    if labels:
        mean = (each[0].softmax(dim=1) + each[1].softmax(dim=1)) / 2
        wanted = mean ** (1 / 1.7)
        torch.testing.assert_close(
            outputs.softmax(dim=1), wanted / wanted.sum(dim=1, keepdim=True), rtol=1e-5, atol=1e-6
        )
    else:
        torch.testing.assert_close(outputs, (each[0] + each[1]) / 2 * 2.0 + 3.5, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(outputs, judge_rows(together, table, device=CPU).double(), rtol=0, atol=0)
    torch.testing.assert_close(found.familiar.distance(seen), together.familiar.distance(seen), rtol=1e-9, atol=0)
    assert write_network(found, tmp_path / "again") == files


def test_a_model_of_the_second_version_has_one_member_and_no_temperature(tmp_path):
    write_network(table_network()[0], tmp_path)
    description = tmp_path / "model.json"
    about = json.loads(description.read_text())
    for name in ("temperature", "others", "familiar"):
        del about[name]
    description.write_text(json.dumps({**about, "schema": "tame-model/2"}))
    reseal(tmp_path)
    found = read_model(tmp_path)
    assert (found.temperature, found.others, found.familiar, found.note) == (1.0, (), None, "")


def own_module(width=3, deep=True):
    return nn.Sequential(nn.Flatten(), nn.Linear(8, width), nn.BatchNorm1d(width), nn.Linear(width, 2 if deep else 1))


def own_network(labels=("a", "b")):
    recipe = Recipe().but({"model.name": "own", "own.width": 5, "own.deep": bool(labels)})
    recipe = recipe if labels else recipe.but({"loss.name": "mse"})
    module = own_module(5, bool(labels)).eval()
    prepared = {"target": {"shift": -1.0, "scale": 4.0}, "shape": [2, 4], "dtype": "float32"}
    return Network("arrays", "binary" if labels else "regression", recipe, labels, module, prepared=prepared)


@torch.no_grad()
@pytest.mark.parametrize("labels", [("a", "b"), ()])
def test_a_network_of_the_users_own_comes_back_with_the_function_that_made_it(tmp_path, labels):
    network = own_network(labels)
    write_network(network, tmp_path)
    found = read_model(tmp_path, own_module)
    x = stream(0, "arrays").normal(size=(7, 2, 4)).astype(np.float32)
    wanted = network.module(torch.from_numpy(x))
    assert torch.equal(judge_arrays(found, x, device=CPU), wanted if labels else wanted.double() * 4.0 - 1.0)
    assert dict(found.recipe.own) == {"deep": bool(labels), "width": 5}
    with pytest.raises(UsageError, match=r"inputs are \(4,\) each, the network was trained on \(2, 4\)"):
        judge_arrays(found, x[:, 0], device=CPU)


def test_a_network_of_the_users_own_is_refused_without_a_function_that_fits(tmp_path):
    write_network(own_network(), tmp_path)
    with pytest.raises(UsageError, match="built by a function of your own"):
        read_model(tmp_path)

    def other(width, deep):
        return nn.Linear(2, width)

    def failing(width, deep):
        raise ValueError("no such width")

    for build, said in (
        (other, "has weights of another module than this"),
        (failing, r"failing\(deep=True, width=5\) raised ValueError: no such width"),
        (lambda: own_module(), "raised TypeError"),
        (lambda width, deep: None, "gives a NoneType, not an nn.Module"),
    ):
        with pytest.raises(UsageError, match=said):
            read_model(tmp_path, build)


def test_a_folder_that_was_tampered_with_is_refused(tmp_path):
    write_network(scratch_network(), tmp_path)
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    for place in (len(content) - 1, len(content) // 2, 0):
        changed = bytearray(content)
        changed[place] ^= 1
        weights.write_bytes(changed)
        with pytest.raises(RefusedError, match="its hash differs"):
            read_model(tmp_path)
    weights.write_bytes(content[:-8])
    with pytest.raises(RefusedError, match="its hash differs"):
        read_model(tmp_path)
    other = load_file_of(tmp_path, content)
    save_file({name: value + 1 for name, value in other.items()}, weights)
    with pytest.raises(RefusedError, match="its hash differs"):
        read_model(tmp_path)


def reseal(folder):
    """Hashes that fit what lies in the folder, as a stranger can write them."""
    write_sums(folder, {name: sha256_of(folder, name) for name in ("model.json", "model.safetensors")})


def test_one_flipped_letter_of_a_label_is_refused(tmp_path):
    write_network(table_network(labels=("cat", "dog"))[0], tmp_path)
    description = tmp_path / "model.json"
    description.write_text(description.read_text().replace('"cat"', '"bat"'))
    with pytest.raises(RefusedError, match="SHA256SUMS describes: its hash differs"):
        read_model(tmp_path)


@given(place=st.integers(0, 10**9), bit=st.integers(0, 7))
@settings(max_examples=30)
def test_any_flipped_bit_of_any_file_is_refused(tmp_path_factory, place, bit):
    folder = tmp_path_factory.mktemp("flipped")
    write_network(table_network()[0], folder)
    name = sorted(os.listdir(folder))[place % 3]
    content = bytearray((folder / name).read_bytes())
    content[place % len(content)] ^= 1 << bit
    (folder / name).write_bytes(content)
    with pytest.raises(RefusedError):
        read_model(folder)


def test_the_record_of_the_study_is_believed_more_than_the_folder(tmp_path):
    files = write_network(table_network(labels=("cat", "dog"))[0], tmp_path)
    assert read_model(tmp_path, files=files).note == ""
    description = tmp_path / "model.json"
    description.write_text(description.read_text().replace('"cat"', '"bat"'))
    reseal(tmp_path)
    assert read_model(tmp_path).labels == ("bat", "dog"), "a folder alone can prove no more than itself"
    with pytest.raises(RefusedError, match=r"model\.json is not the file that the study's record describes"):
        read_model(tmp_path, files=files)


def test_a_model_of_an_earlier_version_opens_and_says_that_nothing_covers_it(tmp_path):
    write_network(table_network()[0], tmp_path)
    description = tmp_path / "model.json"
    (tmp_path / "SHA256SUMS").unlink()
    with pytest.raises(RefusedError, match="holds no SHA256SUMS"):
        read_model(tmp_path)
    description.write_text(description.read_text().replace("tame-model/3", "tame-model/1"))
    assert "no hash covers its model.json" in read_model(tmp_path).note
    files = {name: sha256_of(tmp_path, name) for name in ("model.json", "model.safetensors")}
    assert read_model(tmp_path, files=files).note == ""


GIANT = {
    "a wide table": (table_network, {"recipe.model.width": 8192, "recipe.model.depth": 64}),
    "a wide head": (scratch_network, {"recipe.model.width": 8192}),
    "many columns": (table_network, {"prepared.model_columns.dense": 10**9}),
    "a wide embedding": (table_network, {"prepared.model_columns.embedded": [10**9]}),
    "a giant of timm": (scratch_network, {"recipe.model.name": "timm:vit_giant_patch14_224"}),
}  # fmt: skip


@pytest.mark.parametrize("name", GIANT)
def test_a_description_of_a_larger_network_than_its_weights_allocates_nothing(tmp_path, name):
    make, changes = GIANT[name]
    made = make()
    write_network(made[0] if isinstance(made, tuple) else made, tmp_path)
    description = tmp_path / "model.json"
    about = json.loads(description.read_text())
    for path, value in changes.items():
        room, _, field = path.partition(".")
        if room == "recipe":
            about["recipe"][field] = value
        else:
            about = change(about, path, value)
    description.write_text(json.dumps(about))
    reseal(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((RefusedError, UsageError)):
        read_model(tmp_path)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 300, f"it took {grown_mb:.0f} MB to refuse it"


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "SHA256SUMS"])
def test_a_link_in_a_model_folder_is_refused(tmp_path, name):
    folder, outside = tmp_path / "model", tmp_path / "outside"
    write_network(table_network()[0], folder)
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(RefusedError, match="is a link"):
        read_model(folder)


def load_file_of(folder, content):
    path = folder / "model.safetensors"
    path.write_bytes(content)
    return load_file(path)


def test_a_folder_with_missing_files_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"contains no model\.json"):
        read_model(tmp_path)
    write_network(scratch_network(), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"contains no model\.safetensors"):
        read_model(tmp_path)


def change(about, path, value):
    """The description with the value at a dotted path changed, or without it."""
    *rooms, last = path.split(".")
    place = about
    for room in rooms:
        place = place[room]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return about


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", None), ("schema", "tame-model/99"), ("recipe", None), ("recipe", [1]), ("recipe", {"epoch": 1}),
        ("recipe", {"model.name": "cnm"}), ("labels", None), ("labels", ["a", "b", "c"]), ("labels", 3),
        ("weights", None), ("weights", "x"), ("weights.sha256", None), ("backbone", None), ("backbone", {}),
        ("backbone", [1]), ("backbone", {"name": "x", "digest": "0", "config": []}),
        ("backbone", {"name": "x", "digest": "0", "config": {}}),
        ("backbone", {"name": "x", "digest": "0", "config": {"architecture": "resnet10t"}}),
        ("shortest", "big"), ("run", None), ("kind", None), ("kind", "table"), ("kind", "pictures"), ("task", None),
        ("prepared", None), ("recipe", {"model.name": "own"}),
        ("temperature", 0.0), ("temperature", -1.0), ("temperature", float("nan")), ("temperature", "hot"),
        ("others", [{}]), ("others", 3), ("familiar", {}), ("familiar", {"rest": 1.0, "limits": [1.0, 1.0]}),
    ],
)  # fmt: skip
def test_a_description_that_does_not_fit_is_refused_as_unusable(tmp_path, path, value):
    write_network(scratch_network(), tmp_path)
    description = tmp_path / "model.json"
    description.write_text(json.dumps(change(json.loads(description.read_text()), path, value)))
    reseal(tmp_path)
    with pytest.raises((UsageError, RefusedError)):
        read_model(tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("prepared", {}), ("prepared", []), ("prepared.model_columns", None), ("prepared.model_columns", [1]),
        ("prepared.model_columns.dense", 1), ("prepared.model_columns.dense", -1),
        ("prepared.model_columns.dense", "x"),
        ("prepared.model_columns.embedded", [3]), ("prepared.model_columns.embedded", 3),
        ("prepared.model_columns.other", 3), ("labels", ["a", "b", "c"]), ("kind", "images"), ("kind", "arrays"),
    ],
)  # fmt: skip
def test_a_description_of_a_table_that_does_not_fit_is_refused(tmp_path, path, value):
    write_network(table_network()[0], tmp_path)
    description = tmp_path / "model.json"
    description.write_text(json.dumps(change(json.loads(description.read_text()), path, value)))
    reseal(tmp_path)
    with pytest.raises((UsageError, RefusedError)):
        read_model(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "3", "\x00", '"text"', "[" * 100_000])
def test_an_invalid_description_is_refused(tmp_path, text):
    write_network(scratch_network(), tmp_path)
    (tmp_path / "model.json").write_text(text)
    reseal(tmp_path)
    with pytest.raises(UsageError, match="is not a model folder that TAME can read"):
        read_model(tmp_path)


def test_a_folder_of_weights_that_would_have_to_be_unpickled_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"architecture": "resnet10t"}')
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(RefusedError, match="unpickled"):
        open_backbone(str(tmp_path))


@torch.no_grad()
def test_a_backbone_opens_from_a_folder_and_misfits_are_refused(backbone, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(dict(backbone.config)))
    with pytest.raises(UsageError, match=r"has no model\.safetensors"):
        open_backbone(str(tmp_path))
    weights = {name: value.contiguous() for name, value in backbone.module.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    found = open_backbone(str(tmp_path))
    assert torch.equal(found.module(pictures(1)), backbone.module(pictures(1)))
    assert (found.size, found.fixed_size, found.stages) == (SIZE, False, backbone.stages)
    assert not any(part.requires_grad for part in found.module.parameters())
    first = next(iter(weights))
    save_file({name: value for name, value in weights.items() if name != first}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=f"'{first}' is missing"):
        open_backbone(str(tmp_path))
    save_file({**weights, first: torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="do not fit"):
        open_backbone(str(tmp_path))
    (tmp_path / "config.json").write_text('{"architecture": "resnet9999"}')
    with pytest.raises(UsageError, match="timm has no architecture"):
        open_backbone(str(tmp_path))
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UsageError, match="cannot be read"):
        open_backbone(str(tmp_path))


def test_an_unknown_backbone_is_refused_with_a_near_name():
    with pytest.raises(UsageError, match="did you mean 'resnet18'"):
        open_backbone("resnet_18")
    with pytest.raises(UsageError, match="no weights folder"):
        open_backbone("./nowhere/at/all")


def test_numbers_whose_mean_dwarfs_their_spread_keep_their_digits():
    prepared = {"target": {"shift": 1.7e9, "scale": 10.0}}
    network = Network("table", "regression", Recipe(), (), nn.Identity(), prepared=prepared)
    found = network.in_units(torch.tensor([[0.125], [-0.25]]))
    assert found.flatten().tolist() == [1.7e9 + 1.25, 1.7e9 - 2.5]
    examples = Examples(torch.tensor([1.7e9, 1.7e9 + 20.0]).double(), torch.zeros(2), 0, scaling={0: (1.7e9, 10.0)})
    assert examples.undo(torch.tensor([0.125, 2.0]), 0).tolist() == [1.7e9 + 1.25, 1.7e9 + 20]
