"""Products by either of torch's libraries: exact, and of each member the same whatever the company."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.data.tables import Column, Table
from tame.kinds.tables.material import TableMaterial, TableTask
from tame.parts import products
from tame.parts.mlp import Columns, build_table_model
from tame.parts.products import by_onednn, is_by_onednn, is_heavier, is_heavy, onednn_is_exact, product
from tame.trial.choose import Chooser
from tame.trial.measurements import Measurements
from tame.trial.measurer import Rehearsals
from tame.trial.population import Examples, Member
from tame.trial.precision import agrees
from tame.trial.serial import Serial
from tame.trial.side_by_side import side_by_side
from tame.trial.stacked import Stacked
from tame.trial.traced import Traces
from tame.trial.unit import Job

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
NUM = 300
WIDE, BATCH = 200, 64  # heavy enough for oneDNN


def rows_of(columns):
    return torch.from_numpy(stream(0, "rows").normal(size=(NUM, columns))).float()


def examples_of():
    return Examples(torch.arange(NUM) % 2, torch.where(torch.arange(NUM) < 60, 0, -1), 2)


def recipe_of(**changes):
    base = {"model.name": "mlp", "model.width": WIDE, "model.depth": 2, "model.dropout": 0.2, "batch_size": BATCH}
    return Recipe().but(base | {"epochs": 3, "optimizer.lr": 0.01, "seed": 5} | changes)


@pytest.mark.parametrize("onednn", [False, True])
@settings(deadline=None)  # the first call sets the library up
@given(rows=st.integers(1, 70), inner=st.integers(1, 70), columns=st.integers(1, 70), members=st.integers(2, 9))
def test_a_members_product_is_bit_identical_in_any_group_with_onednn(onednn, rows, inner, columns, members):
    chance = torch.Generator().manual_seed(rows + 71 * inner + 71**2 * columns)
    a, b = (torch.randn(members, *shape, generator=chance) for shape in ((rows, inner), (inner, columns)))
    add = torch.randn(members, 1, columns, generator=chance)
    exact = a.double() @ b.double()
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)  # float32
    # MKL's last bit depends on where a matrix starts in memory, unless its rows are whole vectors.
    is_used = onednn and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # without AVX-512, MKL multiplies in any case
    same = partial(torch.testing.assert_close, rtol=0, atol=0) if is_used else close
    with by_onednn(onednn):
        for more, wanted in ((None, exact), (add, exact + add.double())):
            found = product(a, b, more)
            alone = product(a[-1:], b[-1:], None if more is None else more[-1:])
            same(alone[0], found[-1])
            if not onednn or onednn_is_exact():
                close(found.double(), wanted)
        turned = product(a.transpose(1, 2).contiguous().transpose(1, 2), b)
        shared = product(a[:1].expand(members, -1, -1), b)
        same(shared[-1], product(a[:1], b[-1:])[0])
        close(turned, product(a, b))


def test_what_was_set_before_is_set_again():
    before = torch.backends.mkldnn.matmul.fp32_precision
    with by_onednn(True):
        assert is_by_onednn()
        with by_onednn(False):
            assert not is_by_onednn()
        assert is_by_onednn()
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_large_perceptrons_alone_are_heavy():
    model = Recipe().but({"model.name": "mlp", "model.width": 128, "model.depth": 2}).model
    wide = build_table_model(Columns(64), 2, model)
    assert is_heavy(wide, 256)
    assert not is_heavy(wide, 8)
    assert not is_heavy(torch.nn.Linear(4096, 4096), 1024), "a module of the user's own"


@pytest.mark.skipif(not onednn_is_exact(), reason="oneDNN rounds float32 on this processor")
@pytest.mark.parametrize("after", [0, 10**9])
def test_members_by_onednn_equal_plain_modules_in_any_group(after):
    """Every batch, the last one of 12 examples too, whose products are so small that torch would ask MKL."""
    task = TableTask(rows_of(9), Columns(9), examples_of(), CPU)
    members = [Member(i, 0, recipe_of(**{"optimizer.lr": 0.01 / (1 + i), "batch_size": 57})) for i in range(5)]
    assert is_heavy(task.build(members[0]), 57)

    def trained(some, engine):
        population = engine.start(some)
        seen = []
        population = engine.advance(population, until=3, watch=lambda _, measured: seen.append(measured))
        return population.tensors, seen

    with by_onednn(True):
        together = trained(members, Stacked(task, Traces(after)))
        alone = trained(members[2:3], Stacked(task, Traces(after)))
    plain = trained(members[2:3], Serial(task))
    for name, value in together[0].items():
        assert torch.equal(value[2], alone[0][name][0]), name
    for own, other in zip(alone[1], plain[1], strict=True):
        torch.testing.assert_close(own.train_loss, other.train_loss, rtol=1e-4, atol=1e-4)  # float32
        torch.testing.assert_close(own.outputs, other.outputs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("exact", [True, False])
def test_a_product_that_is_rounded_is_no_exact_one_to_compare_bfloat16_with(monkeypatch, exact):
    """With units for bfloat16, oneDNN is as fast in float32, since it rounds: bfloat16 pays all the same."""
    monkeypatch.setattr(products, "onednn_is_exact", lambda: exact)
    monkeypatch.setattr(products, "_seconds", lambda a, b, wanted, *half: 0.3 if half or wanted else 1.0)
    assert products.half_pays(CPU) == products.has_half(CPU) == (not exact)


def material_of():
    values = {f"x{i}": column for i, column in enumerate(rows_of(9).double().numpy().T.copy())}
    return TableMaterial(Table(tuple(Column(name, "number", "") for name in values), values, NUM), device=CPU)


class Machine(Rehearsals):
    """A machine that is told what it is good at, and what the first loss in bfloat16 is; it keeps what it was asked."""

    def __init__(self, *, exact=False, pays=False, loss=1.0):
        self.exact, self.pays, self.loss, self.asked = exact, pays, loss, []

    def onednn_is_exact(self):
        return self.exact

    def onednn_pays(self):
        self.asked.append("onednn")
        return self.pays

    def half_pays(self, device):
        self.asked.append("pays")
        return self.pays

    def first_loss(self, engine, member, looks):
        self.asked.append("loss")
        return self.loss if engine.half else 1.0


@pytest.mark.parametrize(("exact", "pays"), [(True, True), (True, False), (False, True)])
def test_onednn_is_taken_for_heavy_members_where_it_is_exact_and_pays(tmp_path, exact, pays):
    machine = Machine(exact=exact, pays=pays)
    jobs = [Job(0, recipe_of()), Job(1, recipe_of(**{"model.width": 8}))]
    for _ in ("one", "other"):  # the second one has it from the machine, and keeps it too
        known = {}
        kept = Measurements(tmp_path / "engines.json", {}, known.__setitem__)
        chooser = Chooser(kept, CPU, measurer=machine)
        groups = chooser.groups(material_of(), jobs, [0], range(NUM), examples_of())
        by_trial = {group.jobs[0].trial: group.precision.onednn for group in groups}
        assert by_trial == {0: exact and pays, 1: False}
        words = {each.group: "products by oneDNN" in each.why for each in chooser.uses()}
        assert sorted(words.values()) == [False, exact and pays]
        assert any(key.startswith("products") for key in known) == exact
    assert machine.asked.count("onednn") == int(exact)


# Products of bfloat16 -------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(rows=st.integers(1, 70), inner=st.integers(1, 70), columns=st.integers(1, 70), members=st.integers(2, 9))
def test_products_in_bfloat16_are_those_of_rounded_numbers_in_any_group(rows, inner, columns, members):
    chance = torch.Generator().manual_seed(rows + 71 * inner + 71**2 * columns)
    a, b = (torch.randn(members, *shape, generator=chance) for shape in ((rows, inner), (inner, columns)))
    add = torch.randn(members, 1, columns, generator=chance)
    found = product(a.bfloat16(), b, add)
    exact = a.bfloat16().double() @ b.bfloat16().double() + add
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-2, atol=0.1)  # the sum is rounded to bfloat16 once
    for i in range(members):
        assert torch.equal(found[i], product(a[i : i + 1].bfloat16(), b[i : i + 1], add[i : i + 1])[0])


@pytest.mark.parametrize("changes", [{}, {"model.norm": "layer"}, {"model.norm": "batch"}, {"model.residual": True}])
def test_members_in_bfloat16_are_near_float32_in_any_group(changes):
    task = TableTask(rows_of(9), Columns(9), examples_of(), CPU)
    some = {"batch_size": 57, "model.depth": 3, "model.width": 72, **changes}
    members = [Member(i, 0, recipe_of(**some, **{"optimizer.lr": 1e-3 / (1 + i)})) for i in range(3)]

    def trained(some, engine):
        seen = []
        population = engine.advance(engine.start(some), until=3, watch=lambda _, measured: seen.append(measured))
        return population.tensors, seen

    together, of_all = trained(members, Stacked(task, Traces(0), half=True))
    alone, _ = trained(members[1:2], Stacked(task, Traces(10**9), half=True))
    usual, of_usual = trained(members, Stacked(task, Traces(0)))
    for name, value in together.items():
        assert torch.equal(value[1], alone[name][0]), name
        assert value.dtype == usual[name].dtype, name
    assert any(not torch.equal(value, usual[name]) for name, value in together.items()), "it makes a difference"
    for own, other in zip(of_all, of_usual, strict=True):
        torch.testing.assert_close(own.train_loss, other.train_loss, rtol=0.02, atol=0)
        torch.testing.assert_close(own.outputs, other.outputs, rtol=0, atol=0.1)


def test_which_members_are_large_enough_for_bfloat16():
    def built(width, depth):
        return build_table_model(Columns(64), 2, recipe_of(**{"model.width": width, "model.depth": depth}).model)

    assert is_heavier(built(256, 2), 64)
    assert not is_heavier(built(256, 2), 63)
    assert not is_heavier(built(256, 1), 10_000), "no product lies between two hidden layers"
    assert not is_heavier(torch.nn.Linear(4096, 4096), 1024), "a module of the user's own"


@pytest.mark.parametrize(("pays", "loss"), [(True, 1.0), (True, 1.02), (False, 1.0)])
def test_bfloat16_is_taken_where_it_pays_and_curves_agree(tmp_path, pays, loss):
    """Whether it pays is the machine's, whether curves agree is the study's, which asks for it once."""
    machine = Machine(pays=pays, loss=loss)
    jobs = [Job(i, recipe_of(**{"model.width": width})) for i, width in enumerate((256, 264, 8))]
    held = {"one": {}, "other": {}}
    for study in ("one", "other", "other"):
        kept = Measurements(tmp_path / "engines.json", dict(held[study]), held[study].__setitem__)
        chooser = Chooser(kept, CPU, measurer=machine)
        groups = chooser.groups(material_of(), jobs, [0], range(NUM), examples_of())
        taken = {group.jobs[0].trial: group.precision.half for group in groups}
        assert taken == {0: pays and loss == 1.0, 1: pays and loss == 1.0, 2: False}
        for group in groups:
            engine = group.lanes[0].engine
            assert (isinstance(engine, Stacked) and engine.half) == group.precision.half
        told = sum("bfloat16" in each.why for each in chooser.uses())
        assert told == (2 if pays and loss == 1.0 else 0)
    assert machine.asked == ["pays"] + (["loss"] * 4 if pays else [])


def test_whether_curves_agree_is_seen_in_the_first_steps():
    task = TableTask(rows_of(9), Columns(9), examples_of(), CPU)
    member = Member(0, 0, recipe_of(**{"optimizer.lr": 1e-3}))
    assert agrees(task, member, measurer=Rehearsals())
    wild = Member(0, 0, recipe_of(**{"optimizer.lr": 3.0, "model.depth": 6}))
    assert not agrees(task, wild, measurer=Rehearsals()), (
        "where steps throw the weights about, rounding is not forgotten"
    )


@pytest.mark.parametrize("cores", [1, 2])
def test_jobs_side_by_side_have_the_library_that_is_theirs(cores):
    wanted = [True, False, True, False, False]
    seen = [None] * len(wanted)

    def job(place, emit):
        seen[place] = is_by_onednn()
        return place not in (1, 2)

    todo = [lambda emit, place=place: job(place, emit) for place in range(len(wanted))]
    assert side_by_side(todo, cores=cores, emit=lambda message: None, onednn=wanted) == [1, 2]
    assert seen == wanted
    assert not is_by_onednn()
    assert side_by_side(todo, cores=cores, emit=lambda message: None) == [1, 2]
    assert seen == [False] * len(wanted)
