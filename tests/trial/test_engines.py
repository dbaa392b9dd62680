"""The laws of every engine on every kind of task, and how units of training pool, save and resume."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from made_texts import made_encoder
from tame.core.errors import StoppedError
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.data.tables import MISSING
from tame.kinds.arrays.material import OwnTask
from tame.kinds.pictures.inference import fold_norms
from tame.kinds.pictures.tasks import FeatureTask, PixelTask, TunedTask, view_draws
from tame.kinds.tables.material import TableTask
from tame.kinds.tables.row_encoder import RowEncoder
from tame.kinds.tables.text_columns import TextPlan
from tame.kinds.tables.text_tuning import FlatTokens, LowerStates
from tame.kinds.tables.text_tuning import TunedTask as EncoderTask
from tame.parts.backbones import build_backbone, cut
from tame.parts.encoders import open_encoder
from tame.parts.losses import CLASSES as FOR_CLASSES
from tame.parts.losses import LOSSES
from tame.parts.mlp import Columns, Mlp, head_of
from tame.parts.models import MODELS, OWN_MODELS, init_module
from tame.parts.optimizers import OPTIMIZERS
from tame.parts.schedules import SCHEDULES
from tame.store.checkpoints import Checkpoints
from tame.testing import engine_laws
from tame.testing.engine_laws import LAWS, Bench, recipes_are_trained_alike, two_engines_agree
from tame.trial import unit as unit_module
from tame.trial.draws import StepDraws, epoch_batches, epoch_order
from tame.trial.member_states import MemberStates
from tame.trial.population import Examples, Measured, Member, Population, join, take
from tame.trial.serial import Serial
from tame.trial.settings import group_key
from tame.trial.side_by_side import side_by_side, threads
from tame.trial.stacked import Stacked
from tame.trial.unit import Job, Lane, Unit, judged, judging_loss

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
NUM, FEATURES, CLASSES, FOLDS = 37, 6, 4, 3
COLUMNS = Columns(3, 2, (4, 9), dim=3)


def examples_of(num=NUM, classes=CLASSES, folds=FOLDS, *, together=True, task="multiclass"):
    """Targets, and folds with one example that is never validated."""
    rng = stream(0, "target")
    target = torch.from_numpy(rng.integers(classes, size=num))
    fold = torch.arange(num) % folds
    fold[num // 2] = -1
    if task == "binary":
        return Examples(target % 2, fold, 2, together)
    if task == "distribution":
        return Examples(torch.from_numpy(rng.dirichlet([0.5] * classes, size=num)), fold, classes, together)
    if task == "regression":
        return Examples((target - 1.5) / 1.1 + torch.from_numpy(0.1 * rng.normal(size=num)), fold, 0, together)
    if task == "counts":
        return Examples(target.double(), fold, 0, together)
    costs = torch.from_numpy(rng.uniform(0.5, 3, size=(classes, classes))).fill_diagonal_(0)
    return Examples(target, fold, classes, together, costs)


def features_of(num=NUM, *, views=2, dtype=torch.float64, spoilt=()):
    """Features around a centre for each class."""
    rng = stream(0, "features")
    centres = 2 * rng.normal(size=(CLASSES, FEATURES))
    noise = rng.normal(size=(views, num, FEATURES))
    features = torch.from_numpy(centres[examples_of(num).target.numpy()] + noise)
    features[:, list(spoilt)] = torch.from_numpy(1e3 * stream(1, "spoilt").normal(size=(views, len(spoilt), FEATURES)))
    return features.to(dtype)


def rows_of(num=NUM, *, dtype=torch.float64, spoilt=()):
    """Encoded rows of a table: three numbers, two for periodic embeddings, two columns of codes."""
    numbers = features_of(num, views=1, spoilt=spoilt)[0, :, :5]
    target = examples_of(num).target
    codes = [(target + torch.arange(num) % 2) % 4, torch.from_numpy(stream(0, "codes").integers(9, size=num))]
    codes = torch.stack(codes, dim=1)
    codes[list(spoilt)] = (codes[list(spoilt)] + 1) % 4
    return torch.cat([numbers, codes.double()], dim=1).to(dtype)


def recipes_of(changes, several=True):
    """Of one group, in all that may differ between its members."""
    base = Recipe().but(
        {"optimizer.lr": 0.02, "batch_size": 8, "epochs": 5, "seed": 3, "input.views": 2, "model.width": 6} | changes
    )
    if not several:
        return (base,)
    others = [
        {"optimizer.lr": 0.01, "schedule.name": "wsd", "schedule.warmup": 0.3, "model.dropout": 0.0}
        | {"optimizer.momentum": 0.0},
        {"optimizer.weight_decay": 0.3, "optimizer.momentum": 0.5, "schedule.name": "linear", "epochs": 4}
        | {"loss.label_smoothing": 0.2},
    ]
    shared = set()  # groups with a plateau have no other schedule; with two phases, all change in the same epoch
    shared |= {"schedule.name"} if base.schedule.name == "plateau" else set()
    shared |= {"epochs"} if base.then.start < 1 else set()
    others = [{name: value for name, value in each.items() if name not in shared} for each in others]
    return (base, *(base.but(each) for each in others))


def bench_of(make, examples, changes, *, serial=False, dtype=torch.float64, own=None):
    """make: (examples, spoilt, dtype) -> task; own: the recipes, in place of those of `recipes_of`."""
    recipes = own or recipes_of(changes)
    wild = recipes[0].but({"optimizer.lr": 1e4, "optimizer.weight_decay": 1e4, "epochs": 500})
    tight, engine = dtype == torch.float64, Serial if serial else Stacked
    return Bench(
        make=lambda examples, spoilt: engine(make(examples, spoilt, dtype)), examples=examples, recipes=recipes,
        wild=None if tight or recipes[0].then.start < 1 else wild, takes_several=not serial,
        rtol=1e-9 if tight else 1e-5, atol=1e-9 if tight else 1e-5,
        metric="accuracy" if examples.num_classes else "rmse",
    )  # fmt: skip


def head_task(examples, spoilt, dtype):
    return FeatureTask(features_of(len(examples), dtype=dtype, spoilt=spoilt), examples, CPU)


def table_task(examples, spoilt, dtype):
    return TableTask(rows_of(len(examples), dtype=dtype, spoilt=spoilt), COLUMNS, examples, CPU)


def head_bench(changes, *, task="multiclass", **how):
    return bench_of(head_task, examples_of(task=task), {"model.hidden": 5, "model.dropout": 0.4} | changes, **how)


def table_bench(changes, *, task="multiclass", **how):
    changes = {"model.name": "mlp", "model.dropout": 0.3} | changes
    return bench_of(table_task, examples_of(together=False, task=task), changes, **how)


def small_module(width=6, dropout=0.3):
    return nn.Sequential(
        nn.Linear(FEATURES, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, CLASSES)
    )


def own_bench(changes, *, build=small_module, serial=False):
    def make(examples, spoilt, dtype):
        return OwnTask(features_of(views=1, dtype=dtype, spoilt=spoilt)[0].numpy(), build, examples, CPU)

    changes = {"model.name": "own"} | changes
    return bench_of(make, examples_of(together=False), changes, serial=serial, dtype=torch.float32)


def pictures_of(spoilt=(), num=NUM, size=16):
    """Tiny pictures whose class shows in their colour."""
    rng = stream(0, "pictures")
    colours = rng.integers(60, 200, size=(CLASSES, 3))
    target = examples_of(num).target.numpy()
    pixels = colours[target][:, :, None, None] + rng.normal(0, 25, size=(num, 3, size, size))
    pixels[list(spoilt)] = 255 * stream(1, "spoilt").random((len(spoilt), 3, size, size))
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))


def pixel_bench(model):
    base = Recipe().but(
        {"model.name": model, "model.width": 4, "input.size": 16, "batch_size": 8, "epochs": 5, "seed": 3}
        | {"augment.flip": True, "augment.crop": 0.15, "optimizer.lr": 1e-2, "model.dropout": 0.2, "input.views": 2}
    )
    other = base.but(
        {"optimizer.name": "nesterov", "schedule.name": "wsd", "schedule.warmup": 0.2, "model.dropout": 0.0}
        | {"regularize.ema": 0.8, "regularize.cutmix": 0.5}
    )
    return bench_of(
        lambda examples, spoilt, _: PixelTask(pictures_of(spoilt), examples, CPU, draws=False),
        examples_of(together=False), {},
        serial=True, dtype=torch.float32, own=(base, other),
    )  # fmt: skip


def tiny_backbone(name="mobilenetv2_050"):
    """A network of timm with random weights; its norms have statistics, so that folding them is not trivial."""
    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False, num_classes=0)
    rng = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2, generator=rng)
            part.running_var.uniform_(0.5, 1.5, generator=rng)
            part.weight.data.uniform_(0.5, 1.5, generator=rng)
            part.bias.data.normal_(0, 0.2, generator=rng)
    config = {"architecture": name, "input_size": [3, 64, 64]}
    return build_backbone(config, module.state_dict(), name=name, digest="0")


@pytest.fixture(scope="module")
def tuned_bench():
    backbone = tiny_backbone()
    folded = replace(
        backbone, module=fold_norms(backbone.module, torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64))
    )
    lower, upper = cut(folded, 2)
    base = Recipe().but(
        {"model.unfrozen": 2, "batch_size": 8, "epochs": 4, "optimizer.lr": 1e-3, "augment.flip": True, "seed": 3}
        | {"input.size": 32, "input.views": 2, "augment.crop": 0.1}
    )
    num = 21
    heads = {fold: head_of(backbone.num_features, CLASSES, base.model) for fold in (None, 0, 1, 2)}
    for head in heads.values():
        init_module(head, seed=0)
    mean, std = torch.full((1, 3, 1, 1), 127.0), torch.full((1, 3, 1, 1), 60.0)
    return bench_of(
        lambda examples, spoilt, _: TunedTask(
            lower, upper, folded.stages[-2:], mean, std, heads, pictures_of(spoilt, num, 32), examples, CPU
        ),
        examples_of(num, together=False), {}, serial=True, dtype=torch.float32,
        own=(base, base.but({"model.stage_rate": 0.5, "model.thaw": 0.6})),
    )  # fmt: skip


def two_members(bench):
    return replace(bench, recipes=bench.recipes[:2])


# Not with Adam in float32: it makes whole steps of gradients that are nothing but rounding errors.
NORMS = {"model.norm": "batch", "model.activation": "gelu", "optimizer.name": "nesterov"}
BENCHES = {
    "stacked heads": lambda: head_bench({"optimizer.name": "nesterov"}),
    "stacked heads float32": lambda: head_bench({}, dtype=torch.float32),
    "stacked mixed heads": lambda: head_bench({"regularize.mixup": 0.3, "regularize.ema": 0.5}),
    "stacked mixed rows": lambda: table_bench({"regularize.mixup": 0.3}),
    "stacked rows float32": lambda: table_bench(NORMS, dtype=torch.float32),
    "stacked rows of a regression": lambda: table_bench({"loss.name": "huber"}, task="regression"),
    "stacked modules": lambda: own_bench({}),
    "serial rows": lambda: two_members(table_bench({"then.start": 0.6, "augment.noise": 0.1, **NORMS}, serial=True)),
    "serial modules": lambda: two_members(own_bench({"regularize.swa": 0.5}, serial=True)),
    **{f"serial {name}": lambda name=name: pixel_bench(name) for name in MODELS.names()},
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", BENCHES)
def test_every_engine_keeps_the_law(name, law):
    law(BENCHES[name]())


TUNED_LAWS = [law for law in LAWS if law is not engine_laws.members_of_one_seed_share_their_chance]  # heads are given


@pytest.mark.parametrize("law", TUNED_LAWS, ids=lambda law: law.__name__)
def test_fine_tuning_keeps_the_law(tuned_bench, law):
    law(tuned_bench)


def encoder_bench(folder):
    """Two texts a row, of which one is missing here and there, below a head on these and a few numbers."""
    encoder = open_encoder(str(made_encoder(folder)))
    num, width = 21, encoder.num_features
    vocabulary = ("rent", "cat", "mat", "good", "bad", "due")
    texts = [" ".join(stream(i, "text").choice(vocabulary, 1 + i % 9)) for i in range(num)]
    tokens = FlatTokens.of(encoder, texts, length=10, device=CPU)
    lower = tuple(LowerStates(encoder, tokens, blocks=1, keeps=each) for each in (True, False))
    base = Recipe().but(
        {"table.texts": "encoder", "model.name": "linear", "model.unfrozen": 1, "batch_size": 8, "epochs": 4, "seed": 3}
        | {"optimizer.lr": 1e-3}
    )
    plans = tuple(
        TextPlan(name, "encoder", mark=False, scale=3.0, shift=np.full(width, 0.1, np.float32)) for name in "ab"
    )
    heads = {fold: Mlp(Columns(2 * (width + 1)), CLASSES, replace(base.model, depth=0)) for fold in (None, 0, 1, 2)}
    for head in heads.values():
        init_module(head, seed=0)

    def make(examples, spoilt, dtype):
        codes = torch.arange(num)[:, None].repeat(1, 2)
        codes[::5, 1] = MISSING
        codes[list(spoilt)] = 0
        rows = features_of(num, dtype=dtype, spoilt=spoilt)[0][:, :1].repeat(1, 2 * (width + 1))
        return EncoderTask(
            rows=rows, codes=codes, lower=lower, upper=encoder.module.layers[1:], pooling="mean", heads=heads,
            encoder=RowEncoder(None, plans), examples=examples, device=CPU,
        )  # fmt: skip

    return bench_of(make, examples_of(num, together=False), {}, serial=True, dtype=torch.float32, own=(base,))


@pytest.mark.parametrize("law", TUNED_LAWS, ids=lambda law: law.__name__)
def test_fine_tuning_of_an_encoder_keeps_the_law(tmp_path, law):
    pytest.importorskip("tokenizers", reason="needs the package tokenizers (the extra 'text')")
    law(encoder_bench(tmp_path / "e"))


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_fine_tuning_continues_with_any_optimizer(tuned_bench, name):
    """Whose parameters come in groups, the head with a rate of its own; through a stop between two phases."""
    _, base = tuned_bench.recipes  # of which the first stage begins later
    recipe = base.but({"optimizer.name": name, "then.start": 0.5, "then.optimizer": name, "epochs": 2, "batch_size": 7})
    engine, found = tuned_bench.engine(), []
    for stops in ((2,), (1, 2)):
        population = engine.start([Member(0, 1, recipe)])
        for until in stops:
            population = engine.advance(population, until=until, watch=lambda *_: None)
        found.append(population.tensors)
    for key, value in found[0].items():
        assert torch.equal(value, found[1][key]), key


def test_a_stage_that_begins_later_stays_as_it_was_until_then(tuned_bench):
    _, recipe = tuned_bench.recipes
    engine = tuned_bench.engine()
    population, seen = engine.start([Member(0, 1, recipe)]), []
    for until in range(1, recipe.epochs + 1):
        before, population = population, engine.advance(population, until=until, watch=lambda *_: None)
        weights = {name: own for name, own in population.tensors.items() if name.startswith("module.")}
        changed = {name for name, own in weights.items() if not torch.equal(own, before.tensors[name])}
        seen.append({place for place in ("blocks.5", "blocks.6") if any(f".{place}." in name for name in changed)})
    begins = round(recipe.model.thaw * recipe.epochs + 0.49)
    assert seen == [{"blocks.6"}] * begins + [{"blocks.5", "blocks.6"}] * (recipe.epochs - begins)


# Recipes: what may stand in one is trained alike by both engines, through a stop and in any company ------------------

PHASES = {"then.start": 0.5, "epochs": 2}
ANY_RECIPE = {
    "noise": {"augment.noise": 0.2},
    "periodic and embedded columns": {"model.depth": 1},
    "linear": {"model.name": "linear", "model.dropout": 0.0},
    "layer norm and residual": {"model.norm": "layer", "model.residual": True, "model.depth": 3},
    "batch norm": {"model.norm": "batch"},
    "batch norm of one example": {"model.norm": "batch", "batch_size": 1},
    "batch norm averaged": {"model.norm": "batch", "regularize.ema": 0.7},
    "second phase": {**PHASES, "then.optimizer": "adam", "model.norm": "batch"},
    "second phase after schedule-free": {**PHASES, "optimizer.name": "schedule_free_adamw"},
    "second phase of schedule-free": {**PHASES, "then.optimizer": "schedule_free_sgd", "then.lr": 0.5},
    "ema": {"regularize.ema": 0.9},
    "swa": {"regularize.swa": 0.9, "epochs": 2},
    "swa of schedule-free": {"regularize.swa": 0.9, "epochs": 2, "optimizer.name": "schedule_free_sgd"},
    "ema and mixup": {"regularize.ema": 0.5, "regularize.mixup": 0.4},
    "averages and limits in batches of one": {
        "batch_size": 1,
        "regularize.ema": 0.9,
        "regularize.max_norm": 0.3,
        "optimizer.clip_norm": 0.1,
    },
    "mixup": {"regularize.mixup": 1.0},
    "batch of one": {"batch_size": 1},
    "batch of all": {"batch_size": "all"},
    "clipping": {"optimizer.clip_norm": 0.3, "optimizer.clip_value": 0.05},
    "penalties and limits": {"regularize.l1": 1e-2, "regularize.l2": 0.1, "regularize.max_norm": 0.8},
    "class weights": {"loss.class_weights": "balanced"},
    "plateau": {"schedule.name": "plateau"},
}
OF_TABLES = ("noise", "periodic", "linear", "layer norm", "batch norm", "second phase after")


@pytest.mark.parametrize("name", ANY_RECIPE)
def test_a_recipe_on_rows_is_trained_alike(name):
    changes = {"regularize.early_stopping": 1, **ANY_RECIPE[name]}
    fast, slow = (table_bench(changes, serial=serial) for serial in (False, True))
    recipes_are_trained_alike(fast, slow, epochs=2)


@pytest.mark.parametrize("name", [name for name in ANY_RECIPE if not name.startswith((*OF_TABLES, "batch of one"))])
def test_a_recipe_on_heads_is_trained_alike(name):
    """Where members that leave out different folds walk through the same batches."""
    fast, slow = (head_bench(ANY_RECIPE[name], serial=serial) for serial in (False, True))
    recipes_are_trained_alike(fast, slow, epochs=2)


@pytest.mark.parametrize("task", ["rows", "heads"])
@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_an_optimizer_is_trained_alike(name, task):
    """A batch of one example leaves the members that do not learn from it where they are."""
    changes = {"optimizer.name": name, "optimizer.lr": 1e-3 if name == "lion" else 0.02}
    bench = table_bench if task == "rows" else head_bench
    changes |= {} if task == "rows" else {"batch_size": 1, "model.hidden": 0}
    fast, slow = (bench(changes, serial=serial) for serial in (False, True))
    if name == "nadamw":  # torch keeps the product of its momenta in float32
        fast = replace(fast, rtol=1e-6, atol=1e-6)
    recipes_are_trained_alike(fast, slow, epochs=2)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_a_schedule_is_trained_alike(name):
    changes = {"schedule.name": name, "schedule.drops": 2, "schedule.factor": 0.3, "model.hidden": 0}
    changes |= {} if SCHEDULES.get(name).own_warmup or name == "plateau" else {"schedule.warmup": 0.3}
    fast, slow = (head_bench(changes, serial=serial) for serial in (False, True))
    recipes_are_trained_alike(fast, slow, epochs=2)


TASK_OF_LOSS = {
    name: next(task for task in ("multiclass", "binary", "regression", "counts", "distribution") if task in loss.tasks)
    for name, loss in ((name, LOSSES.get(name)) for name in LOSSES.names() if name != "likelihood")
}  # that of a language model is trained alike in tests/parts/test_llama.py


@pytest.mark.parametrize("name", TASK_OF_LOSS)
def test_a_loss_is_trained_alike(name):
    task = TASK_OF_LOSS[name]
    changes = {"loss.name": name, "loss.gamma": 1.5, "loss.quantile": 0.3, "loss.delta": 0.5}
    if LOSSES.get(name).tasks & FOR_CLASSES:
        changes |= {"loss.class_weights": "balanced", "loss.label_smoothing": 0.1}
    fast, slow = (head_bench(changes, task=task, serial=serial) for serial in (False, True))
    recipes_are_trained_alike(fast, slow, epochs=2)


def test_engines_agree_in_float32():
    for bench, changes in ((head_bench, {}), (table_bench, {"model.norm": "layer"}), (table_bench, NORMS)):
        fast, slow = (bench(changes, serial=serial, dtype=torch.float32) for serial in (False, True))
        two_engines_agree(fast, slow, epochs=3)


@given(
    name=st.sampled_from(OPTIMIZERS.names()), hidden=st.sampled_from([0, 3]), batch=st.integers(1, 40),
    views=st.integers(1, 4), dropouts=st.lists(st.floats(0, 0.9), min_size=2, max_size=2), seed=st.integers(0, 50),
)  # fmt: skip
@settings(max_examples=10, deadline=None)
def test_both_engines_agree_at_any_batch_size_views_and_dropout(name, hidden, batch, views, dropouts, seed):
    """Down to batches of one example, of which a member may have none."""
    base = Recipe().but(
        {"optimizer.name": name, "model.hidden": hidden, "batch_size": batch, "input.views": views, "seed": seed}
        | {"epochs": 2, "optimizer.lr": 1e-2}
    )
    recipes = tuple(base.but({"model.dropout": rate}) for rate in dropouts)

    def make(examples, spoilt, dtype):
        return FeatureTask(features_of(views=views), examples, CPU)

    fast, slow = (bench_of(make, examples_of(), {}, serial=serial, own=recipes) for serial in (False, True))
    tolerance = 1e-6 if name == "nadamw" else 1e-8
    two_engines_agree(replace(fast, rtol=tolerance, atol=tolerance), slow, epochs=2)


# Modules of the user's own --------------------------------------------------------------------------------------------


def test_dropout_inside_a_module_draws_the_same_in_both_engines():
    """torch.func draws once for all members, in the same order and shape as a module by itself."""
    recipes_are_trained_alike(own_bench({}), own_bench({}, serial=True), epochs=3)


class Odd(nn.Module):
    """A frozen layer, a buffer that is not saved, and one that is."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(FEATURES, 5).requires_grad_(False)
        self.last = nn.Linear(5, CLASSES)
        self.register_buffer("shift", torch.ones(5), persistent=False)
        self.register_buffer("scale", torch.full((5,), 0.5))

    def forward(self, x):
        return self.last(torch.tanh(self.first(x) * self.scale + self.shift))


@pytest.mark.parametrize("extra", [{}, {"regularize.ema": 0.5}, {"regularize.l2": 0.1, "regularize.max_norm": 0.3}])
def test_frozen_parameters_stay_and_buffers_of_every_kind_are_carried(extra):
    fast, slow = (own_bench(extra, build=Odd, serial=serial) for serial in (False, True))
    recipes_are_trained_alike(fast, slow, epochs=2)
    engine = fast.engine()
    start = engine.start(fast.members())
    done = engine.advance(start, until=2, watch=lambda *_: None)
    before, after = (engine.module(population, 0).state_dict() for population in (start, done))
    assert torch.equal(before["first.weight"], after["first.weight"])
    assert not torch.equal(before["last.weight"], after["last.weight"])


# A plain loop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serial", [False, True])
@pytest.mark.parametrize(("batch", "fold"), [(5, None), (5, 1), (7, 2), (1, 0), ("all", 1), ("all", None)])
def test_an_epoch_of_descent_equals_a_plain_loop(serial, batch, fold):
    """Every step takes the mean over exactly the examples that are left in its batch, the last one included."""
    recipe = Recipe().but(
        {"optimizer.name": "sgd", "optimizer.lr": 0.1, "optimizer.weight_decay": 0.0, "schedule.name": "constant"}
        | {"batch_size": batch, "epochs": 3, "seed": 3}
    )
    bench = bench_of(head_task, examples_of(), {}, serial=serial, own=(recipe,))
    member, engine, seen = Member(0, fold, recipe), bench.engine(), []
    start = engine.start([member])
    done = engine.advance(start, until=1, watch=lambda _, measured: seen.append(measured))
    weights = engine.module(start, 0).state_dict()
    w, b = weights["out.weight"].numpy().copy(), weights["out.bias"].numpy().copy()
    x, y = features_of()[0].numpy(), examples_of().target.numpy()
    order = stream(3, "order", 1).permutation(NUM)
    size = NUM if batch == "all" else batch
    losses = []
    for at in range(0, NUM, size):
        own = [i for i in order[at : at + size] if fold is None or examples_of().fold[i] != fold]
        grad_w, grad_b = np.zeros_like(w), np.zeros_like(b)
        for i in own:
            p = np.exp(w @ x[i] + b)
            p /= p.sum()
            losses.append(-math.log(p[y[i]]))
            p[y[i]] -= 1
            grad_w += np.outer(p, x[i]) / len(own)
            grad_b += p / len(own)
        w -= 0.1 * grad_w
        b -= 0.1 * grad_b
    found = engine.module(done, 0).state_dict()
    np.testing.assert_allclose(found["out.weight"].numpy(), w, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found["out.bias"].numpy(), b, rtol=1e-11, atol=1e-12)
    assert float(seen[0].train_loss[0]) == pytest.approx(np.mean(losses), rel=1e-11)


def test_rows_that_a_member_validates_are_not_in_its_batches():
    examples = examples_of(together=False)
    recipe = Recipe().but({"batch_size": 10})
    walked = examples.walked(Member(0, 1, recipe))
    assert (examples.fold[walked] != 1).all()
    sizes = [len(rows) for rows in epoch_batches(0, 1, walked, recipe.batch(len(walked)))]
    assert sizes == [10, 10, len(walked) - 20]
    mixed = recipe.but({"regularize.mixup": 0.5})
    assert torch.equal(examples_of().walked(Member(0, 1, mixed)), walked), "mixed with what it is judged on"
    assert len(examples_of().walked(Member(0, 1, recipe))) == NUM


def test_recipes_that_see_other_inputs_are_not_trained_in_one_group():
    base = Recipe()
    for change in (
        {"input.size": 96}, {"input.views": 2}, {"input.crop": 0.5}, {"model.hidden": 8}, {"batch_size": 8},
        {"optimizer.name": "sgd"}, {"seed": 1}, {"regularize.ema": 0.5}, {"regularize.swa": 0.5}, {"loss.name": "mse"},
        {"schedule.name": "plateau"}, {"then.start": 0.5}, {"own.width": 3}, {"table.bins": 5}, {"augment.noise": 0.1},
    ):  # fmt: skip
        assert group_key(base.but(change)) != group_key(base)
    for change in (
        {"optimizer.lr": 1.0}, {"model.dropout": 0.5}, {"schedule.name": "wsd"}, {"epochs": 3}, {"then.lr": 0.5},
        {"regularize.l1": 0.5}, {"regularize.max_norm": 1.0}, {"loss.class_weights": "balanced"},
    ):  # fmt: skip
        assert group_key(base.but(change)) == group_key(base)
    phases = base.but({"then.start": 0.5})
    assert group_key(phases.but({"epochs": 8})) != group_key(phases), "they would change their optimizer at other times"
    averaged = base.but({"regularize.ema": 0.5})
    assert group_key(averaged.but({"regularize.ema": 0.9})) == group_key(averaged)


# Common random numbers ------------------------------------------------------------------------------------------------


def test_an_epoch_sees_every_example_once_in_an_order_of_its_own():
    every = torch.arange(23)
    batches = epoch_batches(5, 1, every, 6)
    assert [len(rows) for rows in batches] == [6, 6, 6, 5]
    assert torch.cat(batches).sort().values.tolist() == list(range(23))
    assert not torch.equal(epoch_order(5, 1, 23), epoch_order(5, 2, 23))
    assert not torch.equal(epoch_order(5, 1, 23), epoch_order(6, 1, 23))
    assert torch.equal(torch.cat(epoch_batches(5, 1, every, 4)), torch.cat(batches)), (
        "the order is not that of the batch size"
    )


def test_views_are_drawn_evenly_for_each_example_and_epoch():
    recipe = Recipe().but({"input.views": 3})
    draws = torch.stack([view_draws(recipe, epoch, 500) for epoch in range(20)])
    assert set(draws.flatten().tolist()) == {0, 1, 2}
    assert (torch.bincount(draws.flatten()) / draws.numel() - 1 / 3).abs().max() < 0.02
    assert not view_draws(Recipe(), 1, 10).any()


def test_the_draws_of_a_step_are_those_of_its_name_and_of_the_examples_asked_for():
    whole = StepDraws(0, 1, 2, 50, CPU)
    first, second = whole(40), whole(40)
    assert not torch.equal(first, second), "each layer has its own"
    mine = torch.arange(0, 50, 3)
    some = StepDraws(0, 1, 2, 50, CPU, mine)
    assert torch.equal(some(40), first[mine])
    assert torch.equal(some(40), second[mine])
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3)):
        assert not torch.equal(StepDraws(*other, 50, CPU)(40), first)
    assert float(first.min()) >= 0
    assert float(first.max()) < 1


@pytest.mark.parametrize("name", MODELS.names())
def test_a_network_starts_from_its_seed_alone(name):
    recipe = Recipe().but({"model.width": 4}).model

    def built(noise, seed):
        torch.manual_seed(noise)
        module = MODELS.get(name)(recipe, CLASSES)
        init_module(module, seed=seed)
        return module.state_dict()

    first, again, other = built(0, 7), built(1, 7), built(0, 8)
    for key, value in first.items():
        assert torch.equal(value, again[key]), f"{key} does not come from the seed"
    assert any(not torch.equal(value, other[key]) for key, value in first.items())


@pytest.mark.parametrize("size", [16, 33])
@pytest.mark.parametrize("name", MODELS.names())
def test_a_network_gives_logits_at_any_input_size(name, size):
    module = MODELS.get(name)(Recipe().but({"model.width": 4}).model, CLASSES).eval()
    assert module(torch.zeros(2, 3, size, size)).shape == (2, CLASSES)


@pytest.mark.parametrize("name", sorted(OWN_MODELS))
def test_networks_from_scratch_are_the_same_trained_at_once_and_one_by_one(name):
    bench, found = pixel_bench(name), {}
    members = bench.members()[:2]

    def job(number):
        def train(emit):
            engine = bench.engine()
            own = engine.start([replace(members[number % 2], trial=0)])
            found[number] = engine.advance(own, until=2, watch=lambda *_: None).tensors
            return True

        return train

    state = torch.get_rng_state()
    with threads(1):
        for cores, numbers in ((1, (0, 1)), (2, (2, 3))):
            assert side_by_side([job(number) for number in numbers], cores=cores, emit=lambda message: None) == []
    for number in (0, 1):
        for key, value in found[number].items():
            assert torch.equal(value, found[2 + number][key]), key
    assert torch.equal(state, torch.get_rng_state()), "it draws from the generators that all threads share"


# Units, shelves and populations ---------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_taking_and_joining_are_inverse(keep):
    bench = head_bench({})
    population = bench.engine().start(bench.members())
    chosen = take(population, keep)
    assert [m.trial for m in chosen.members] == keep
    again = join([take(chosen, [i]) for i in range(len(keep))])
    assert again.members == chosen.members
    for name, value in chosen.tensors.items():
        assert torch.equal(again.tensors[name], value)
        assert torch.equal(value, population.tensors[name][keep])


class Killed(Exception):
    """Stands for the end of a process in the midst of its work."""


def run_unit(bench, jobs, folds, until, states, *, keep_all=True, emit=lambda trial, point: None, lanes=None):
    """The points and the ends that a unit tells, by trial and epoch, and by trial."""
    rows, ends = {}, {}

    def told(trial, point):
        rows[trial, point.epoch] = point.row()
        emit(trial, point)

    unit = Unit(jobs, lanes or bench.lanes(jobs, folds), bench.metric, states, keep_all)
    unit.advance(until=until, emit=told, saved=lambda: None, end=ends.__setitem__)
    return rows, ends


def jobs_of(bench, changes=({},) * 3):
    return [Job(i, recipe.but(own)) for i, (recipe, own) in enumerate(zip(bench.recipes, changes, strict=False))]


@pytest.mark.parametrize("kind", [head_bench, table_bench])
def test_a_curve_is_the_mean_over_the_folds(tmp_path, kind):
    """Against a plain loop over members trained alone, each example judged by the one that had not seen it."""
    bench = kind({})
    jobs = [Job(4, bench.recipes[0]), Job(9, bench.recipes[1])]
    rows, _ = run_unit(bench, jobs, [0, 1, 2], 2, MemberStates(Checkpoints(tmp_path)))
    for job in jobs:
        seen = {fold: [] for fold in range(FOLDS)}
        for fold, measured in seen.items():
            start = bench.engine().start([Member(0, fold, job.recipe)])
            bench.engine().advance(start, until=2, watch=lambda _, m, measured=measured: measured.append(m))
        for epoch in (1, 2):
            losses, right, train = [], [], []
            for fold in range(FOLDS):
                own = seen[fold][epoch - 1]
                assert own.rows.tolist() == [i for i in range(NUM) if bench.examples.fold[i] == fold]
                labels = bench.examples.target[own.rows]
                log_p = torch.log_softmax(own.outputs[0].double(), 1)
                losses.append(-float(log_p[torch.arange(len(labels)), labels].mean()))
                right.append(float((own.outputs[0].argmax(1) == labels).double().mean()))
                train.append(float(own.train_loss[0]))
            _, train_loss, valid_loss, metric, error = rows[job.trial, epoch]
            assert train_loss == pytest.approx(np.mean(train), rel=1e-6)
            assert valid_loss == pytest.approx(np.mean(losses), rel=1e-5)
            assert metric == pytest.approx(np.mean(right), abs=1e-6)
            assert error == pytest.approx(np.std(right, ddof=1) / math.sqrt(FOLDS), abs=1e-6)


def test_both_engines_give_the_same_curve_over_folds_and_all_examples(tmp_path):
    """As a finalist is trained: a member for each fold and one on all examples, which is not validated."""
    curves = []
    for serial in (False, True):
        bench = head_bench({}, serial=serial)
        states = MemberStates(Checkpoints(tmp_path / str(serial)))
        curves.append(run_unit(bench, jobs_of(bench)[:1], [0, 1, 2, None], 3, states)[0])
    assert curves[0].keys() == curves[1].keys()
    for key, row in curves[0].items():
        assert row == pytest.approx(curves[1][key], rel=1e-6)


def test_members_on_all_examples_alone_show_no_validation(tmp_path):
    bench = head_bench({})
    rows, _ = run_unit(bench, jobs_of(bench)[:1], [None], 1, MemberStates(Checkpoints(tmp_path)))
    assert rows[0, 1][2:] == [None, None]
    assert rows[0, 1][1] > 0


def test_a_trial_of_a_population_of_64_is_trained_again_alone(tmp_path):
    """In float32, on rows of a table: the same curve to 1e-5."""
    num = 160
    examples = examples_of(num, together=False)
    rng = stream(0, "recipes")
    base = Recipe().but({"model.name": "mlp", "model.width": 32, "batch_size": 32, "epochs": 5, "seed": 3})
    recipes = tuple(
        base.but(
            {"optimizer.lr": float(10 ** rng.uniform(-4, -1.5)), "model.dropout": float(rng.uniform(0, 0.5))}
            | {"optimizer.weight_decay": float(rng.uniform(0, 0.3)), "loss.label_smoothing": float(rng.uniform(0, 0.2))}
        )
        for _ in range(64)
    )
    bench = bench_of(table_task, examples, {}, dtype=torch.float32, own=recipes)
    jobs = [Job(i, recipe) for i, recipe in enumerate(recipes)]
    together, _ = run_unit(bench, jobs, [1], 5, MemberStates(Checkpoints(tmp_path / "a")))
    for job in (jobs[0], jobs[37]):
        alone, _ = run_unit(bench, [job], [1], 5, MemberStates(Checkpoints(tmp_path / str(job.trial))))
        assert len(alone) == 5
        for key, row in alone.items():
            assert row == pytest.approx(together[key], abs=1e-5)


WILD = {"optimizer.lr": 1e4, "optimizer.weight_decay": 1e4}


def ending_bench(kind=head_bench, changes=None, **how):
    """A calm trial, one that diverges, and one that stops early."""
    bench = kind({"optimizer.name": "nesterov", **(changes or {})}, dtype=torch.float32, **how)
    jobs = jobs_of(bench, ({"epochs": 7}, {**WILD, "epochs": 500}, {"epochs": 7, "optimizer.lr": 0.6}))
    return bench, [jobs[0], jobs[1], Job(2, jobs[2].recipe.but({"regularize.early_stopping": 1}))]


@pytest.mark.parametrize("kind", [head_bench, table_bench])
def test_members_that_end_leave_and_their_neighbours_are_not_affected(tmp_path, kind):
    bench, jobs = ending_bench(kind)
    states = MemberStates(Checkpoints(tmp_path / "a"))
    rows, ends = run_unit(bench, jobs, [0, 1, 2], 7, states)
    last = {job.trial: max(epoch for trial, epoch in rows if trial == job.trial) for job in jobs}
    assert last[0] == 7
    assert last[1] < 5, "it diverged, and was not trained on"
    assert rows[1, last[1]][2] is None
    assert last[2] < 7, "it stopped early"
    assert list(ends) == [2]
    losses = {epoch: row[2] for (trial, epoch), row in rows.items() if trial == 2}
    assert ends[2] == min(losses, key=losses.get) == last[2] - 1
    alone, _ = run_unit(bench, jobs[:1], [0, 1, 2], 7, MemberStates(Checkpoints(tmp_path / "b")))
    for epoch in range(1, 8):
        assert rows[0, epoch] == pytest.approx(alone[0, epoch], abs=2e-5)
    engine = bench.lanes(jobs[2:], [1])[0].engine
    best = states.get(2, 1, jobs[2].recipe)
    assert best.epoch == ends[2]
    wanted = engine.advance(engine.start(best.members), until=ends[2], watch=lambda *_: None)
    for name, value in wanted.tensors.items():
        torch.testing.assert_close(best.tensors[name], value, rtol=1e-5, atol=1e-5)


def test_neighbours_of_a_member_that_left_are_bit_equal_to_those_without(tmp_path):
    """While it is there it only takes up its place; once it has left, what remains is computed as if alone."""
    bench, jobs = ending_bench()
    rows, _ = run_unit(bench, jobs[:2], [0], 7, MemberStates(Checkpoints(tmp_path)))
    gone = max(epoch for trial, epoch in rows if trial == 1)
    engine, seen = bench.engine(), []
    members = [Member(job.trial, 0, job.recipe) for job in (jobs[0], jobs[0])]  # a calm neighbour in its place

    def watch(population, measured):
        seen.append(float(measured.train_loss[0]))

    population = engine.advance(engine.start(members), until=gone, watch=watch)
    engine.advance(take(population, [0]), until=7, watch=watch)
    assert [rows[0, epoch][1] for epoch in range(1, 8)] == seen


@pytest.mark.parametrize(
    ("kind", "changes"), [(table_bench, {}), (head_bench, {"schedule.name": "plateau", "schedule.patience": 1})]
)
def test_a_unit_that_is_killed_sends_the_same_points_afterwards(tmp_path, monkeypatch, kind, changes):
    """At any epoch, with a checkpoint after each; what had ended is not trained again, nor what a checkpoint holds."""
    monkeypatch.setattr(unit_module, "CHECKPOINT_S", -1.0)
    bench, jobs = ending_bench(kind, changes)
    states = MemberStates(Checkpoints(tmp_path / "straight"))
    straight, ends = run_unit(bench, jobs, [0, 1], 7, states)
    assert 2 in ends
    for kill in (2, 4, 7):

        def emit(trial, point, kill=kill):
            if point.epoch == kill:
                raise Killed

        folder = tmp_path / str(kill)
        with pytest.raises(Killed):
            run_unit(bench, jobs, [0, 1], 7, MemberStates(Checkpoints(folder)), emit=emit)
        again = MemberStates(Checkpoints(folder))
        lanes = counted(bench.lanes(jobs, [0, 1]))
        rows, ends_again = run_unit(bench, jobs, [0, 1], 7, again, lanes=lanes)
        assert ends_again == ends
        assert {key: row for key, row in straight.items() if key in rows} == rows
        assert {key for key in straight if key[0] == 0} <= set(rows)
        for fold in (0, 1):
            one, other = (own.get(2, fold, jobs[2].recipe) for own in (states, again))
            assert one.epoch == other.epoch == ends[2]
            assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())
        assert max(lane.engine.epochs for lane in lanes) <= 7 - (kill - 1), "an epoch was trained twice"


class Counted:
    """An engine that counts the epochs it trains."""

    def __init__(self, engine):
        self.engine, self.epochs = engine, 0

    def start(self, members):
        return self.engine.start(members)

    def advance(self, population, *, until, **others):
        self.epochs += until - population.epoch
        return self.engine.advance(population, until=until, **others)


def counted(lanes):
    return [Lane(Counted(lane.engine), lane.examples, lane.members) for lane in lanes]


@pytest.mark.parametrize("changes", [{}, {"schedule.name": "plateau", "schedule.patience": 1}])
def test_a_stop_while_points_are_sent_loses_none_of_them(tmp_path, changes):
    """The first point that is told meets the stop; the points of the others were measured as well, and judged."""
    bench, jobs = ending_bench(head_bench, changes)
    straight_states = MemberStates(Checkpoints(tmp_path / "straight"))
    straight, ends = run_unit(bench, jobs, [0, 1], 7, straight_states)
    for epoch in (1, 2, 3, 4, 7):
        folder = tmp_path / f"stopped{epoch}"

        def stop(trial, point, epoch=epoch):
            if point.epoch == epoch:
                raise StoppedError("stopped by the user")

        with pytest.raises(StoppedError):
            run_unit(bench, jobs, [0, 1], 7, MemberStates(Checkpoints(folder)), keep_all=False, emit=stop)
        states = MemberStates(Checkpoints(folder))
        after, ends_after = run_unit(bench, jobs, [0, 1], 7, states)
        assert {key: row for key, row in straight.items() if key in after} == after
        assert {key for key in straight if key[0] == 0} <= set(after)
        assert ends_after == ends
        one, other = (own.get(2, 0, jobs[2].recipe) for own in (straight_states, states))
        assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())


def test_a_plateau_slows_the_trial_that_does_not_get_better(tmp_path):
    """Against a plain loop of its own: the rate falls after the epochs without a lower loss, for this trial alone."""
    changes = {"schedule.name": "plateau", "schedule.patience": 1, "schedule.factor": 0.1}
    bench = table_bench({**changes, "optimizer.name": "sgd", "optimizer.lr": 3.0}, dtype=torch.float32)
    jobs = jobs_of(bench, ({"epochs": 9}, {"epochs": 9, "optimizer.lr": 1e-3}))
    states = MemberStates(Checkpoints(tmp_path))
    rows, _ = run_unit(bench, jobs, [0, 1], 9, states)
    for job in jobs:
        best, waited, rate = math.inf, 0, 1.0
        for epoch in range(1, 10):
            loss = rows[job.trial, epoch][2]
            waited = 0 if loss < best * (1 - 1e-4) else waited + 1
            best = min(best, loss) if waited == 0 else best
            if waited > 1:
                waited, rate = 0, rate * 0.1
        for fold in (0, 1):
            multiplier = states.get(job.trial, fold, job.recipe).tensors["plateau.multiplier"]
            assert float(multiplier[0]) == pytest.approx(rate, rel=1e-5)
        assert (rate < 1) == (job.trial == 0)
    engine = bench.lanes(jobs[:1], [0])[0].engine
    plain = engine.advance(engine.start([Member(0, 0, jobs[0].recipe)]), until=9, watch=lambda *_: None)
    slowed = states.get(0, 0, jobs[0].recipe)
    assert not torch.equal(plain.tensors["param.out.weight"], slowed.tensors["param.out.weight"])


def test_survivors_continue_from_the_checkpoint_of_a_larger_unit(tmp_path):
    """After a kill between rungs: two of three trials are told to go on, in another order."""
    bench = head_bench({})
    jobs = jobs_of(bench)
    straight, _ = run_unit(bench, jobs, [0, 1, 2], 4, MemberStates(Checkpoints(tmp_path / "a")))
    run_unit(bench, jobs, [0, 1, 2], 2, MemberStates(Checkpoints(tmp_path / "b")))
    states = MemberStates(Checkpoints(tmp_path / "b"))
    rows, _ = run_unit(bench, [jobs[2], jobs[1]], [0, 1, 2], 4, states)
    assert set(rows) == {(trial, epoch) for trial in (1, 2) for epoch in range(1, 5)}
    for key, row in rows.items():
        assert row == pytest.approx(straight[key], rel=1e-6)
    again = MemberStates(Checkpoints(tmp_path / "b"))
    assert again.get(0, 0, jobs[0].recipe).epoch == 2
    assert again.get(1, 0, jobs[1].recipe).epoch == 4, "the older checkpoint of another trial does not set it back"
    states.forget([0], keep=[1, 2])
    assert states.get(1, 0, jobs[1].recipe).epoch == 4
    states.forget([0, 1, 2], keep=[])
    assert Checkpoints(tmp_path / "b").names() == []
    assert states.get(1, 0, jobs[1].recipe) is None


def test_a_unit_whose_members_are_apart_starts_again(tmp_path):
    bench = head_bench({})
    job = Job(0, bench.recipes[0])
    straight, _ = run_unit(bench, [job], [0, 1], 3, MemberStates(Checkpoints(tmp_path / "a")))
    states = MemberStates(Checkpoints(tmp_path / "b"))
    for fold, until in ((0, 1), (1, 2)):
        engine = bench.engine()
        states.put(engine.advance(engine.start([Member(0, fold, job.recipe)]), until=until, watch=lambda *_: None))
    assert run_unit(bench, [job], [0, 1], 3, states)[0] == straight


def test_a_store_of_states_gives_what_was_put_and_nothing_else(tmp_path):
    bench = head_bench({})
    recipe, engine = bench.recipes[0], bench.engine()
    population = engine.start([Member(2, 0, recipe), Member(2, None, recipe)])
    states = MemberStates(Checkpoints(tmp_path))
    assert states.get(2, 0, recipe) is None
    states.put(population)
    found = states.get(2, None, recipe)
    assert found.members == population.members[1:]
    for name, value in population.tensors.items():
        assert torch.equal(found.tensors[name], value[1:])
    assert states.get(2, 1, recipe) is None
    assert states.get(3, 0, recipe) is None


def test_each_example_is_judged_by_the_members_that_had_not_seen_it():
    examples = examples_of()
    rows = (examples.fold >= 0).nonzero().squeeze(1)
    members = [Member(7, fold, Recipe()) for fold in range(FOLDS)]
    outputs = torch.zeros(FOLDS, len(rows), CLASSES)
    for place, member in enumerate(members):  # right where it is judged, and wrong in all that it was trained on
        own = examples.fold[rows] == member.fold
        label = torch.where(own, examples.target[rows], (examples.target[rows] + 1) % CLASSES)
        outputs[place, torch.arange(len(rows)), label] = 9.0
    found = judged(members, Measured(1, torch.zeros(FOLDS), outputs, rows), examples, "accuracy")
    assert {key: value[2] for key, value in found.items()} == {(7, fold): 1.0 for fold in range(FOLDS)}


def test_the_loss_that_recipes_are_compared_by_is_the_plain_one():
    logits = torch.from_numpy(stream(0, "logits").normal(size=(1, 9, 3)))
    target = torch.arange(9) % 3
    wanted = float(nn.functional.cross_entropy(logits[0], target))
    assert float(judging_loss(logits, target, 3)) == pytest.approx(wanted)
    assert float(judging_loss(logits, nn.functional.one_hot(target).double(), 3)) == pytest.approx(wanted)
    numbers = logits[:, :, :1]
    wanted = float(nn.functional.mse_loss(numbers[0, :, 0], target.double()))
    assert float(judging_loss(numbers, target.double(), 0)) == pytest.approx(wanted)


def test_a_population_is_a_value():
    population = Population((Member(0, None, Recipe()),), {"x": torch.zeros(1)})
    later = population.at(3, {"x": torch.ones(1)})
    assert (population.epoch, later.epoch, later.members) == (0, 3, population.members)


def test_both_engines_rehearse_without_being_moved():
    bench = pixel_bench("cnn")
    assert 0 < bench.engine().rehearse(bench.members()[0]) < 60
    bench = table_bench({"model.norm": "batch"})
    before = torch.get_rng_state()
    assert 0 < bench.engine().rehearse(bench.members()) < 60
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("engine", [Serial, Stacked])
@pytest.mark.parametrize("num", [67, 35])  # batches of 32, 32 and 3; of 32 and 3
def test_a_rehearsal_is_not_misled_by_a_small_last_batch(engine, num):
    """It measures seconds of a step, by a clock that moves with the examples that the module is given."""
    seen = []

    class Counted(TableTask):
        def batch(self, recipe, rows, **how):
            seen.append(len(rows))
            return TableTask.batch(self, recipe, rows, **how)

    x = torch.from_numpy(stream(0, "x").normal(size=(num, 4)))
    task = Counted(x, Columns(4), Examples(torch.arange(num) % 2, torch.full((num,), -1), 2), CPU)
    member = Member(0, None, Recipe().but({"model.name": "mlp", "model.width": 4, "batch_size": 32}))
    if engine is Serial:
        assert Serial(task).rehearse(member, whole=False, clock=lambda: sum(seen)) == 32
    else:
        assert Stacked(task).rehearse([member], clock=lambda: sum(seen)) == 32


def test_targets_far_from_zero_or_tiny_are_seen_on_their_own_scale():
    for shift, scale in ((1.7e9 + 37.0, 10.0), (3e-51, 1e-50)):
        target = torch.tensor([shift - scale, shift, shift + 2 * scale], dtype=torch.float64)
        examples = Examples(target, torch.zeros(3), 0, scaling={0: (shift, scale)})
        found = examples.aims([Member(0, 0, Recipe())], torch.arange(3), torch.zeros(1))
        torch.testing.assert_close(found[0, :, 0], torch.tensor([-1.0, 0.0, 2.0]), rtol=1e-6, atol=1e-6)  # float32
