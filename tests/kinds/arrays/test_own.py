"""Modules of the user's own: what is wrong with one is said, what cannot be trained together is trained alone."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.kinds.arrays.material import ArrayMaterial, build_of
from tame.kinds.arrays.modules import FORWARD_S, forward_s, make_module
from tame.kinds.arrays.prediction import answers, as_input, judge_arrays
from tame.kinds.materials import read_model
from tame.parts.network import write_network
from tame.trial.own_module import naming_failures
from tame.trial.population import Examples, Member
from tame.trial.serial import Serial
from tame.trial.stacked import Stacked
from tame.worker.environment import reference_to

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
NUM, FEATURES, CLASSES = 24, 5, 3
RECIPE = Recipe().but({"model.name": "own", "batch_size": 8, "epochs": 2})


def inputs_of(dtype=np.float32):
    return stream(0, "inputs").normal(size=(NUM, FEATURES)).astype(dtype)


def examples_of(classes=CLASSES):
    target = torch.arange(NUM) % max(classes, 1)
    return Examples(target if classes else target + 0.5 * torch.arange(NUM, dtype=torch.float64),
                    torch.arange(NUM) % 2, classes)  # fmt: skip


class Says(nn.Module):
    """A linear layer whose output is changed by `how`."""

    def __init__(self, how, outputs=CLASSES):
        super().__init__()
        self.layer = nn.Linear(FEATURES, outputs)
        self.how = how

    def forward(self, x):
        return self.how(self.layer(x))


def exits(x):
    sys.exit(3)


def raises(x):
    raise KeyError("no such thing")


ONE = nn.Linear(FEATURES, CLASSES)


class AcrossTheBatch(nn.Module):
    """Attention as torch has it by default, with the first dimension as time: it looks at the other examples."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(FEATURES, 1, 8)
        self.out = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.out(self.layer(x.unsqueeze(1)).squeeze(1))


class Doubles(nn.Linear):
    """A layer that writes into what it is given."""

    def __init__(self):
        super().__init__(FEATURES, CLASSES)

    def forward(self, x):
        return super().forward(x.mul_(2))


class Keeps(nn.Linear):
    """A module with a state of its own kind."""

    def get_extra_state(self):
        return {"seen": 3}

    def set_extra_state(self, state):
        pass


def check(build, recipe=RECIPE, x=None, classes=CLASSES):
    material = ArrayMaterial(inputs_of() if x is None else x, build, device=CPU)
    material.check(recipe, examples_of(classes))
    return material


def test_a_module_that_fits_is_taken():
    check(lambda: nn.Linear(FEATURES, CLASSES))
    check(lambda: nn.Linear(FEATURES, 1), RECIPE.but({"loss.name": "mse"}), classes=0)
    check(lambda width: nn.Linear(FEATURES, width), RECIPE.but({"own.width": CLASSES}))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Says(lambda z: z / 0), r"NaN or infinity for 2 of 2 examples"),
        (lambda: Says(lambda z: z * torch.nan), r"NaN or infinity for 2 of 2 examples"),
        (lambda: Says(lambda z: (z, z)), r"returns a tuple of 2, cross_entropy needs one tensor"),
        (lambda: Says(lambda z: {"logits": z}), r"returns a dict"),
        (lambda: Says(lambda z: z, outputs=7), r"returns 7 outputs, but cross_entropy on 3 classes needs 3"),
        (lambda: Says(lambda z: z[:, 0]), r"needs \(B, 3\)"),
        (lambda: Says(lambda z: z[:1]), r"returns 1 rows for 2 examples"),
        (lambda: Says(lambda z: z.argmax(1, keepdim=True)), r"needs real numbers"),
        (lambda: Says(lambda z: z.softmax(1)), r"already returns probabilities.*remove the softmax"),
        (lambda: nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.Softmax(1)), r"ends in Softmax.*remove it"),
        (lambda: Says(raises), r"the model failed on inputs \(2, 5\): KeyError: 'no such thing'"),
        (lambda: Says(exits), r"the model failed on inputs \(2, 5\): SystemExit: 3"),
        (lambda: nn.Linear(FEATURES + 1, CLASSES), r"the model failed on inputs \(2, 5\): RuntimeError"),
        (lambda: nn.Identity(), r"without parameters: there is nothing to train"),
        (lambda: nn.Linear(FEATURES, CLASSES).requires_grad_(False), r"without parameters"),
        (lambda: nn.Linear(FEATURES, CLASSES).bfloat16(), r"has tensors of torch.bfloat16.*return module\.float"),
        (lambda: nn.Linear(FEATURES, CLASSES).half(), r"has tensors of torch.float16, which cannot be trained"),
        (lambda: Keeps(FEATURES, CLASSES), r"keeps a dict in its state, which may hold tensors only"),
        (lambda: ONE, r"gives parameters that it gave before; make new ones at each call"),
        (
            lambda: Says(lambda z: z + torch.randn_like(z)),
            r"gives other outputs for the same inputs when it is called again",
        ),
        (lambda: Says(lambda z: z - z.mean(0)), r"says something else of an example when others are in the same batch"),
        (lambda: Says(lambda z: z.sort(0).values), r"something else of an example when others are in the same batch"),
        (AcrossTheBatch, r"something else of an example when others are in the same batch.*batch_first=True"),
        (
            lambda: nn.Sequential(nn.Linear(FEATURES, CLASSES), nn.BatchNorm1d(CLASSES, track_running_stats=False)),
            r"may be asked of one example, and the model failed .*track_running_stats=True",
        ),
        (lambda: Says(lambda z: z.squeeze()), r"something else of an example|asked of one example"),
        (Doubles, r"the model changes its inputs: write x = x \* 2"),
        (lambda: "a network", r"gives a str, not an nn\.Module"),
        (lambda: nn.Linear, r"gives a type, not an nn\.Module"),
        (lambda: sys.exit("enough"), r"raised SystemExit: enough"),
        (lambda: 1 / 0, r"raised ZeroDivisionError"),
        (lambda width: nn.Linear(FEATURES, width), r"raised TypeError: .*'width'"),
    ],
)
def test_what_is_wrong_with_a_module_is_said(build, message):
    with pytest.raises(UsageError, match=message):
        check(build)


def test_a_function_is_named_with_what_it_was_given():
    def my_build(width, deep):
        raise ValueError(f"no {width}")

    with pytest.raises(UsageError, match=r"my_build\(deep=True, width=3\) raised ValueError: no 3"):
        make_module(my_build, Recipe().but({"own.width": 3, "own.deep": True}).own)
    with pytest.raises(UsageError, match="the model's function"):
        make_module(partial(my_build, 1), {"deep": False})


@pytest.mark.parametrize(
    "changes", [{"model.name": "mlp"}, {"model.dropout": 0.1}, {"augment.noise": 0.1}]
)  # fmt: skip
def test_settings_of_tames_own_models_are_refused(changes):
    with pytest.raises(UsageError, match=next(iter(changes))):
        check(lambda: nn.Linear(FEATURES, CLASSES), RECIPE.but(changes))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer = kind(FEATURES, 4, batch_first=True)
        self.out = nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.out(self.layer(x[:, None])[0][:, 0])


class Decides(nn.Module):
    """A module whose way depends on the numbers, which torch.func cannot follow."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        z = self.layer(x)
        return z if float(z.detach().abs().sum()) > 0 else 2 * z


def tied():
    model = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES))
    model[1].weight = model[0].weight
    return model


NORMED = nn.BatchNorm1d


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: nn.Sequential(nn.Linear(FEATURES, 4), NORMED(4), nn.Linear(4, CLASSES)), "BatchNorm1d keeps running"),
        (lambda: Recurrent(nn.LSTM), "LSTM has no rule"),
        (lambda: Recurrent(nn.GRU), "GRU has no rule"),
        (Decides, "torch.func cannot carry this module"),
        (tied, "layers that share their weights"),
        (lambda: nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(6, CLASSES)),
         "convolutions are slower"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_together_is_trained_alone_with_the_reason(build, reason):
    material = check(build)
    assert not material.stacks(RECIPE)
    assert reason in material.reason
    examples = examples_of()
    engine = Serial(material.task(RECIPE, range(NUM), examples, [0]))
    start = engine.start([Member(0, 0, RECIPE)])
    half = engine.advance(start, until=1, watch=lambda *_: None)
    straight = engine.advance(start, until=2, watch=lambda *_: None)
    resumed = engine.advance(half, until=2, watch=lambda *_: None)
    for name, value in straight.tensors.items():
        assert torch.equal(value, resumed.tensors[name]), name
    assert any(not torch.equal(value, straight.tensors[name]) for name, value in start.tensors.items())


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(FEATURES, CLASSES),
        lambda: nn.Sequential(nn.Linear(FEATURES, 4), nn.LayerNorm(4), nn.Dropout(0.2), nn.Linear(4, CLASSES)),
        lambda: nn.Sequential(nn.Linear(FEATURES, 4), nn.GroupNorm(2, 4), nn.Linear(4, CLASSES)),
    ],
)
def test_what_can_be_trained_together_is(build):
    material = check(build)
    assert material.stacks(RECIPE)
    assert material.reason == ""


def test_a_module_that_leaves_python_does_not_take_the_process_with_it():
    material = ArrayMaterial(inputs_of(), lambda: Says(exits), device=CPU)
    assert not material.stacks(RECIPE)


class Spare(nn.Module):
    """A parameter that plays no part."""

    def __init__(self):
        super().__init__()
        self.layer, self.spare = nn.Linear(FEATURES, CLASSES), nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.layer(x)


def test_a_parameter_without_a_part_does_not_stop_the_others():
    material = check(Spare)
    assert material.stacks(RECIPE)
    task = material.task(RECIPE, range(NUM), examples_of(), [0])
    outputs = []
    for engine in (Stacked(task), Serial(task)):
        population = engine.advance(engine.start([Member(0, 0, RECIPE)]), until=2, watch=lambda *_: None)
        outputs.append(engine.predict(population, torch.arange(NUM)))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [(np.float64, torch.float64), (np.float16, torch.float32), (np.int32, torch.int64), (np.uint16, torch.int64),
     (np.bool_, torch.float32), (np.uint8, torch.float32)],
)  # fmt: skip
def test_inputs_come_in_types_that_modules_take(dtype, wanted):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    found = as_input(x[:, ::-1], CPU)
    assert found.dtype == wanted
    share = 255 if dtype == np.uint8 else 1
    np.testing.assert_allclose(found.numpy() * share, x[:, ::-1].astype(np.float64), rtol=1e-6)


@pytest.mark.parametrize("classes", [CLASSES, 0])
def test_a_trained_module_is_delivered_and_judges_as_it_did(tmp_path, classes):
    def build(width):
        return nn.Sequential(nn.Linear(FEATURES, width), nn.BatchNorm1d(width), nn.Linear(width, max(classes, 1)))

    recipe = RECIPE.but({"own.width": 4, "loss.name": "cross_entropy" if classes else "huber"})
    material = check(build, recipe, classes=classes)
    examples, rows = examples_of(classes), list(range(NUM))
    task = material.task(recipe, rows, examples, [0])
    engine, member = Serial(task), Member(0, 0, recipe)
    population = engine.advance(engine.start([member]), until=2, watch=lambda *_: None)
    labels = [f"class {i}" for i in range(classes)]
    kind = "multiclass" if classes else "regression"
    network = material.network(task, engine.module(population, 0), recipe, 0, kind, labels)
    outputs = material.judge(network, rows, cached=False)
    wanted = task.examples.undo(engine.predict(population, torch.arange(NUM))[0], 0)
    torch.testing.assert_close(outputs, wanted, rtol=1e-6, atol=1e-6)
    if not classes:
        learnt = examples.target[examples.fold != 0]
        assert float(network.prepared["target"]["shift"]) == pytest.approx(float(learnt.mean()))
    write_network(network, tmp_path)
    again = judge_arrays(read_model(tmp_path, build), inputs_of(), device=CPU)
    assert torch.equal(again, outputs)


# Where another process finds the function ---------------------------------------------------------------------------

SOURCE = """
from torch import nn

print("a module that talks while it is imported")

def build(width=3):
    print("and while it builds")
    return nn.Linear(5, width)

class Inside:
    @staticmethod
    def build():
        return nn.Linear(5, 3)

alias = lambda: nn.Linear(5, 3)
number = 3
"""


def imported(path):
    sys.path.insert(0, str(path.parent))
    try:
        return __import__(path.stem)
    finally:
        sys.path.pop(0)


def test_a_function_of_a_file_is_found_again(tmp_path, capsys):
    file = tmp_path / "models_of_mine.py"
    file.write_text(SOURCE)
    module = imported(file)
    reference = reference_to(module.build)
    assert reference == f"{file}:build"
    found = build_of(reference)
    assert found is not module.build
    assert found(7).out_features == 7
    assert "talks" in capsys.readouterr().out


def test_what_another_process_cannot_find_has_no_reference(tmp_path):
    file = tmp_path / "others_of_mine.py"
    file.write_text(SOURCE)
    module = imported(file)

    def closure():
        return nn.Linear(module.number, 1)

    for make in (lambda: nn.Linear(1, 1), closure, module.alias, module.Inside.build, partial(module.build, 3)):
        assert reference_to(make) is None


def test_a_name_that_was_given_to_another_function_is_no_reference(tmp_path):
    file = tmp_path / "twice_of_mine.py"
    file.write_text("def build():\n    return 1\n\nfirst = build\n\ndef build():\n    return 2\n")
    module = imported(file)
    assert reference_to(module.first) is None
    assert reference_to(module.build) == f"{file}:build"


def test_a_script_from_a_pipe_has_no_reference():
    script = GUARDED.format(guard='if __name__ == "__main__":\n    ')
    told = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=True).stdout
    assert told.strip() == "None"


GUARDED = """
from tame.worker.environment import reference_to

def build():
    return None

{guard}print(reference_to(build))
"""


@pytest.mark.parametrize(("guard", "found"), [("", False), ('if __name__ == "__main__":\n    ', True)])
def test_a_function_of_the_script_is_found_only_behind_a_guard(tmp_path, guard, found):
    """Without one, importing the script would run the study once more."""
    script = tmp_path / "study.py"
    script.write_text(GUARDED.format(guard=guard))
    told = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout.strip()
    assert told == (f"{script}:build" if found else "None")


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        (None, "build", "is gone"),
        ("1 / 0", "build", "cannot be imported: ZeroDivisionError"),
        ("def (", "build", "cannot be imported: SyntaxError"),
        ("import sys; sys.exit(2)", "build", "cannot be imported: SystemExit: 2"),
        (SOURCE, "built", "holds no function 'built'"),
        (SOURCE, "number", "holds no function 'number'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(tmp_path, source, name, message):
    file = tmp_path / "mine.py"
    if source is not None:
        file.write_text(source)
    with pytest.raises(UsageError, match=message):
        build_of(f"{file}:{name}")
    with pytest.raises(UsageError, match="goes on from Python"):
        build_of(None)


class Wordless(Exception):
    """An exception that cannot be shown."""

    def __str__(self):
        raise RuntimeError("no words")


def wordless(*_):
    raise Wordless


@pytest.mark.parametrize(
    "fail",
    [
        lambda: make_module(wordless, {}),
        lambda: answers(Says(wordless), torch.zeros(2, FEATURES)),
        lambda: told_of(RECIPE),
    ],
)
def test_an_exception_that_fails_to_say_what_it_is_is_named_by_its_class(fail):
    with pytest.raises(UsageError, match=r"Wordless \(without a message: its __str__ raised RuntimeError\)"):
        fail()


def told_of(recipe):
    with naming_failures(recipe):
        wordless()


def test_a_module_whose_exception_has_no_words_is_trained_alone():
    material = ArrayMaterial(inputs_of(), lambda: Says(wordless), device=CPU)
    assert not material.stacks(RECIPE)
    assert "Wordless (without a message" in material.reason


def test_what_is_tried_of_the_users_own_is_said_before_with_its_limit():
    heard = []
    material = ArrayMaterial(
        inputs_of(), lambda: Says(lambda x: x), device=CPU, doing=lambda *what: heard.append(what)
    )  # fmt: skip
    material.check(RECIPE, examples_of())
    material.stacks(RECIPE)
    assert [what[:9] for what, _ in heard] == ["the funct", "forward()", "", "the funct", "forward()", ""]
    assert [limit for _, limit in heard] == [None, FORWARD_S, None, None, FORWARD_S, None]


# torch 2.10 itself uses, for torch.compile, what it calls deprecated.
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
def test_a_module_that_may_compile_in_its_first_pass_has_the_time_for_it():
    plain = nn.Linear(2, 2)
    assert forward_s(plain) == FORWARD_S
    assert forward_s(nn.Sequential(torch.compile(plain), nn.ReLU())) is None


def test_a_long_complaint_of_a_module_is_cut():
    with pytest.raises(UsageError) as caught:
        make_module(lambda: (_ for _ in ()).throw(ValueError("z" * 10**6)), {})
    assert 1000 < len(str(caught.value)) < 3000
