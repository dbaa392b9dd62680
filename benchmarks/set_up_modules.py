"""Modules as users write them, sound ones and ones with a planted fault, for `planted_set_up.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES, COLUMNS, SIDE, LENGTH, WORDS = 5, 20, 12, 10, 50


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A module and the causes that may be named for it; none for a sound one.

    inputs: rows, two (rows of two columns), pictures, series or words; scale: multiplies the inputs.
    """

    build: Callable[[], nn.Module]
    causes: tuple[str, ...] = ()
    inputs: str = "rows"
    task: str = "multiclass"
    rows: int = 0
    scale: float = 1.0
    recipe: Mapping[str, object] = field(default_factory=dict)


class Through(nn.Module):
    """A module between two functions."""

    def __init__(
        self, inner: nn.Module, *, after: Callable[[Tensor], Tensor] = lambda x: x,
        before: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inner, self.after, self.before = inner, after, before

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.inner(self.before(x)))


class Cut(nn.Module):
    """A body and a head, and what happens between them."""

    def __init__(self, body: nn.Module, head: nn.Module, *, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.head, self.between = body, head, between

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.between(self.body(x)))


class Residual(nn.Module):
    def __init__(self, width: int, *, zero: bool = False, norm: bool = True) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        if zero:
            nn.init.zeros_(self.down.weight)
            nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Attention(nn.Module):
    """Self-attention with a projection for each of queries, keys and values, averaged over the positions."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        mixed = F.scaled_dot_product_attention(self.q(h), self.k(h), self.v(h))
        return self.head(self.norm(h + mixed).mean(dim=1))


class Recurrent(nn.Module):
    def __init__(
        self, kind: Callable[..., nn.RNNBase], width: int = 24, layers: int = 1, *, gain: float = 0.0
    ) -> None:  # fmt: skip
        super().__init__()
        self.rnn = kind(6, width, num_layers=layers, batch_first=True)
        self.head = nn.Linear(width, CLASSES)
        if gain:
            for name, value in self.rnn.named_parameters():
                if "weight" in name:
                    nn.init.normal_(value, std=gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class Words(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(WORDS, width), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x).mean(dim=1))


class Adapted(nn.Module):
    """A frozen layer with a low-rank change that begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.head = nn.Linear(COLUMNS, 32).requires_grad_(False), nn.Linear(32, CLASSES)
        self.down = nn.Parameter(0.1 * torch.randn(COLUMNS, 4))
        self.up = nn.Parameter(torch.zeros(4, 32))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.base(x) + x @ self.down @ self.up))


class Cosines(nn.Module):
    """Ten times the cosines of features and a vector of each class."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.classes = mlp(32, outputs=32), nn.Parameter(torch.randn(CLASSES, 32))

    def forward(self, x: Tensor) -> Tensor:
        return 10 * F.normalize(self.body(x), dim=1) @ F.normalize(self.classes, dim=1).T


class WithUnused(nn.Module):
    """A module with a part that forward() does not use."""

    def __init__(self, *, inner: nn.Module, unused: nn.Module) -> None:
        super().__init__()
        self.inner, self.unused = inner, unused

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def mlp(
    *widths: int, inputs: int = COLUMNS, outputs: int = CLASSES, act: Callable[[], nn.Module] = nn.ReLU,
    norm: Callable[[int], nn.Module] | None = None, dropout: float = 0.0,
) -> nn.Sequential:  # fmt: skip
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, width), *([norm(width)] if norm else []), act()]
        layers += [nn.Dropout(dropout)] if dropout else []
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def cnn(*channels: int, norm: Callable[[int], nn.Module] | None = None, act: Callable[[], nn.Module] = nn.ReLU,
        outputs: int = CLASSES) -> nn.Sequential:  # fmt: skip
    layers: list[nn.Module] = []
    last = 3
    for width in channels:
        layers += [nn.Conv2d(last, width, 3, padding=1), *([norm(width)] if norm else []), act()]
        last = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, outputs))


def changed(make: Callable[[], nn.Module], change: Callable[[nn.Module], object], kinds: Sequence[type] = (nn.Linear,),
            *, which: slice = slice(None)) -> Callable[[], nn.Module]:  # fmt: skip
    """A function that makes the same module with some of its layers changed."""

    def build() -> nn.Module:
        made = make()
        with torch.no_grad():
            for part in [each for each in made.modules() if isinstance(each, tuple(kinds))][which]:
                change(part)
        return made

    return build


def through(make: Callable[[], nn.Module], **how: Callable[[Tensor], Tensor]) -> Callable[[], nn.Module]:
    return lambda: Through(make(), **how)


def zero(part: nn.Module) -> None:
    for value in part.parameters():
        value.zero_()


def biased(part: nn.Module) -> None:
    part.bias.fill_(-50.0)  # type: ignore[union-attr, operator]


def negative(part: nn.Module) -> None:
    part.weight.abs_().neg_()  # type: ignore[operator, union-attr]
    part.bias.fill_(-0.1)  # type: ignore[union-attr, operator]


def scaled_by(factor: float) -> Callable[[nn.Module], object]:
    return lambda part: part.weight.mul_(factor)  # type: ignore[operator, union-attr]


def normal(std: float) -> Callable[[nn.Module], object]:
    return lambda part: nn.init.normal_(part.weight, std=std)  # type: ignore[arg-type]


def frozen(make: Callable[[], nn.Module], *names: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        made = make()
        for name, value in made.named_parameters():
            if name.startswith(names):
                value.requires_grad_(False)
        return made

    return build


def rezero() -> nn.Module:
    return nn.Sequential(nn.Linear(COLUMNS, 32), *(Residual(32, zero=True) for _ in range(4)), nn.Linear(32, CLASSES))


def deep_residual() -> nn.Module:
    return nn.Sequential(nn.Linear(COLUMNS, 32), *(Residual(32) for _ in range(8)), nn.LayerNorm(32),
                         nn.Linear(32, CLASSES))  # fmt: skip


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
    body = nn.Sequential(nn.Linear(6, 16), layer)
    return Cut(body, nn.Linear(16, CLASSES), between=lambda h: h.mean(dim=1))


def cut(between: Callable[[Tensor], Tensor], *, inputs: int = COLUMNS, width: int = 32) -> Callable[[], nn.Module]:
    return lambda: Cut(nn.Sequential(nn.Linear(inputs, width), nn.ReLU()), nn.Linear(width, CLASSES), between=between)


@torch.no_grad()
def without_grad(x: Tensor) -> Tensor:
    return x * 1.0


def softmaxed_in_training(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    class InTraining(Through):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(x)
            return out.softmax(dim=1) if self.training else out

    return lambda: InTraining(make())


def sgd(rate: float) -> Mapping[str, object]:
    return {"optimizer.name": "sgd", "optimizer.lr": rate}


SQUASHED, LARGE, CANNOT = ("squashed_outputs",), ("large_first_loss",), ("cannot_overfit_batch",)
NONE, DEAD, SAME = ("no_gradient",), ("dead_units",), ("constant_outputs",)
VANISHING, EXPLODING, UPDATE, NORM = ("vanishing_gradients",), ("exploding_gradients",), ("update_ratio",), (
    "small_batch_norm",
)  # fmt: skip
TWO = partial(mlp, 32, 32)
ONE_OUTPUT = partial(mlp, 32, 32, outputs=1)
BATCHED = partial(mlp, 32, 32, norm=nn.BatchNorm1d)
DEEP_SIGMOID = partial(mlp, *[32] * 8, act=nn.Sigmoid)
NUMBERS = {"task": "regression"}

FAULTS = {
    "squashed, softmax": Plant(causes=SQUASHED, build=through(TWO, after=lambda z: z.softmax(dim=1))),
    "squashed, softmax in training": Plant(causes=SQUASHED, build=softmaxed_in_training(TWO)),
    "squashed, softmax after a cnn": Plant(
        causes=SQUASHED, inputs="pictures", build=through(partial(cnn, 8, 16), after=lambda z: z.softmax(dim=1))),
    "squashed, sigmoid": Plant(causes=SQUASHED, build=through(TWO, after=torch.sigmoid)),
    "squashed, tanh": Plant(causes=SQUASHED, build=through(TWO, after=torch.tanh)),
    "squashed, sigmoid of two classes": Plant(causes=SQUASHED, task="binary",
        build=through(partial(mlp, 32, outputs=2), after=torch.sigmoid)),
    "squashed, one sigmoid": Plant(causes=SQUASHED, task="binary", recipe={"loss.name": "binary_cross_entropy"},
        build=through(ONE_OUTPUT, after=torch.sigmoid)),
    "squashed, relu": Plant(causes=SQUASHED, build=through(TWO, after=torch.relu)),
    "squashed, sigmoid of numbers": Plant(causes=SQUASHED, **NUMBERS, build=through(ONE_OUTPUT, after=torch.sigmoid)),
    "squashed, tanh of numbers": Plant(causes=SQUASHED, **NUMBERS, build=through(ONE_OUTPUT, after=torch.tanh)),
    "squashed, relu of numbers": Plant(causes=SQUASHED, **NUMBERS, build=through(ONE_OUTPUT, after=torch.relu)),
    "squashed, cosines": Plant(causes=SQUASHED,
        build=through(partial(mlp, 32, 32), after=lambda z: F.normalize(z, dim=1))),
    "first loss, last layer times 100": Plant(causes=LARGE,
        build=changed(TWO, scaled_by(100.0), which=slice(-1, None))),
    "first loss, normal weights": Plant(causes=(*LARGE, *EXPLODING), build=changed(TWO, normal(1.0))),
    "first loss, outputs times 50": Plant(causes=LARGE, build=through(TWO, after=lambda z: 50 * z)),
    "first loss, shifted numbers": Plant(causes=LARGE, **NUMBERS, build=through(ONE_OUTPUT, after=lambda z: z + 20)),
    "first loss, large inputs": Plant(causes=LARGE, build=TWO, scale=300.0),
    "first loss, normal weights of a cnn": Plant(causes=(*LARGE, *EXPLODING), inputs="pictures",
        build=changed(partial(cnn, 8, 16), normal(1.0), (nn.Conv2d, nn.Linear))),
    "one batch, shuffled": Plant(causes=CANNOT, build=through(TWO, before=lambda x: x[torch.randperm(len(x))])),
    "one batch, noise for input": Plant(causes=CANNOT, build=through(TWO, before=torch.randn_like)),
    "one batch, outputs shuffled": Plant(causes=CANNOT, inputs="pictures",
        build=through(partial(cnn, 8, 16), after=lambda z: z[torch.randperm(len(z))])),
    "one batch, mean over the batch": Plant(causes=(*CANNOT, *SAME),
        build=through(TWO, before=lambda x: x.mean(dim=0, keepdim=True).expand_as(x))),
    "one batch, numbers shuffled": Plant(causes=CANNOT, **NUMBERS,
        build=through(ONE_OUTPUT, before=lambda x: x[torch.randperm(len(x))])),
    "no gradient, detached": Plant(causes=NONE, build=cut(lambda h: h.detach())),
    "no gradient, no_grad": Plant(causes=NONE, build=cut(without_grad)),
    "no gradient, rounded": Plant(causes=NONE, build=cut(torch.round)),
    "no gradient, sign": Plant(causes=NONE, build=cut(torch.sign)),
    "no gradient, unused": Plant(causes=NONE, build=lambda: WithUnused(inner=TWO(), unused=nn.Linear(8, 8))),
    "no gradient, data": Plant(causes=NONE, build=cut(lambda h: h.data)),
    "no gradient, unused head": Plant(causes=NONE, inputs="pictures",
        build=lambda: WithUnused(inner=cnn(8, 16), unused=nn.Linear(16, 3))),
    "dead units, bias -50": Plant(causes=DEAD, build=changed(TWO, biased, which=slice(0, -1))),
    "dead units, one layer": Plant(causes=DEAD, build=changed(partial(mlp, 32, 32, 32), biased, which=slice(1, 2))),
    "dead units, negative weights": Plant(causes=DEAD, build=changed(TWO, negative, which=slice(1, 2))),
    "dead units, cnn": Plant(causes=DEAD, inputs="pictures",
        build=changed(partial(cnn, 8, 16), biased, (nn.Conv2d,), which=slice(1, 2))),
    "dead units, functional": Plant(causes=DEAD,
        build=changed(lambda: Cut(nn.Linear(COLUMNS, 32), nn.Linear(32, CLASSES), between=F.relu), biased,
                      which=slice(0, 1))),
    "constant, all weights zero": Plant(causes=(*SAME, *DEAD), build=changed(TWO, zero)),
    "constant, zero weights of a tanh": Plant(causes=SAME, build=changed(partial(mlp, 32, 32, act=nn.Tanh), zero)),
    "constant, input times zero": Plant(causes=SAME, build=through(TWO, before=lambda x: x * 0)),
    "constant, mean over the batch": Plant(causes=SAME, inputs="pictures",
        build=through(partial(cnn, 8, 16), before=lambda x: x.mean(dim=(0, 2, 3), keepdim=True).expand_as(x))),
    "constant, softmax over one column": Plant(causes=SAME,
        build=lambda: nn.Sequential(nn.Linear(COLUMNS, 1), nn.Softmax(dim=1), nn.Linear(1, CLASSES))),
    "constant, series": Plant(causes=SAME, inputs="series",
        build=through(partial(Recurrent, nn.GRU), before=torch.zeros_like)),
    "vanishing, sigmoids": Plant(causes=VANISHING, build=DEEP_SIGMOID),
    "vanishing, tiny weights": Plant(causes=VANISHING,
        build=changed(partial(mlp, *[32] * 8, act=nn.Tanh), normal(0.02))),
    "vanishing, deep relu": Plant(causes=VANISHING, build=partial(mlp, *[32] * 16)),
    "vanishing, sigmoids of a cnn": Plant(causes=VANISHING, inputs="pictures",
        build=partial(cnn, *[8] * 8, act=nn.Sigmoid)),
    "exploding, recurrent": Plant(causes=(*EXPLODING, *LARGE), inputs="series",
        build=partial(Recurrent, partial(nn.RNN, nonlinearity="relu"), gain=0.8)),
    "exploding, deep": Plant(causes=(*EXPLODING, *LARGE), build=changed(partial(mlp, *[32] * 8), normal(1.0))),
    "exploding, tanh": Plant(causes=(*EXPLODING, *LARGE),
        build=changed(partial(mlp, *[64] * 8, act=nn.Tanh), normal(2.0))),
    "exploding, deep cnn": Plant(causes=(*EXPLODING, *LARGE), inputs="pictures",
        build=changed(partial(cnn, *[8] * 6), normal(1.0), (nn.Conv2d, nn.Linear))),
    "steps too large, adamw 3": Plant(causes=UPDATE, build=TWO, recipe={"optimizer.lr": 3.0}),
    "steps too large, sgd 100": Plant(causes=UPDATE, build=TWO, recipe=sgd(100.0)),
    "steps too large, cnn": Plant(causes=UPDATE, build=partial(cnn, 8, 16), inputs="pictures",
                                  recipe={"optimizer.lr": 1.0}),
    "steps too small, adamw 1e-7": Plant(causes=UPDATE, build=TWO, recipe={"optimizer.lr": 1e-7}),
    "steps too small, sgd 1e-6": Plant(causes=UPDATE, build=TWO, recipe=sgd(1e-6)),
    "steps too small, cnn": Plant(causes=UPDATE, build=partial(cnn, 8, 16), inputs="pictures",
                                  recipe={"optimizer.lr": 1e-7}),
    "batch norm, 2 examples": Plant(causes=NORM, build=BATCHED, recipe={"batch_size": 2}),
    "batch norm, 4 examples": Plant(causes=NORM, build=BATCHED, recipe={"batch_size": 4}),
    "batch norm, 4 pictures": Plant(causes=NORM, build=partial(cnn, 8, 16, norm=nn.BatchNorm2d), inputs="pictures",
                                    recipe={"batch_size": 4}),
    "batch norm, a last one of 1": Plant(causes=NORM, build=BATCHED, rows=388, recipe={"batch_size": 10}),
}  # fmt: skip

SOUND = {
    "sound, mlp": Plant(build=TWO),
    "sound, one layer": Plant(build=partial(mlp, 16)),
    "sound, wide": Plant(build=partial(mlp, 512, 512)),
    "sound, four layers": Plant(build=partial(mlp, 64, 64, 64, 64)),
    "sound, gelu": Plant(build=partial(mlp, 64, 64, act=nn.GELU)),
    "sound, tanh": Plant(build=partial(mlp, 64, 64, act=nn.Tanh)),
    "sound, sigmoid": Plant(build=partial(mlp, 64, act=nn.Sigmoid)),
    "sound, leaky": Plant(build=partial(mlp, 64, 64, act=nn.LeakyReLU)),
    "sound, relu6": Plant(build=partial(mlp, 64, 64, act=nn.ReLU6)),
    "sound, narrow": Plant(build=partial(mlp, 8, 8)),
    "sound, linear": Plant(build=mlp),
    "sound, two columns": Plant(inputs="two", build=partial(mlp, 16, 16, inputs=2)),
    "sound, linear on two columns": Plant(inputs="two", build=partial(mlp, inputs=2)),
    "sound, dropout": Plant(build=partial(mlp, 64, 64, dropout=0.5)),
    "sound, layer norm": Plant(build=partial(mlp, 64, 64, 64, norm=nn.LayerNorm)),
    "sound, batch norm": Plant(build=BATCHED),
    "sound, batch norm on wide batches": Plant(build=BATCHED, recipe={"batch_size": 128}),
    "sound, layer norm on batches of 4": Plant(build=partial(mlp, 32, norm=nn.LayerNorm), recipe={"batch_size": 4}),
    "sound, all at once": Plant(build=TWO, recipe={"batch_size": "all"}),
    "sound, cnn": Plant(inputs="pictures", build=partial(cnn, 8, 16)),
    "sound, four convolutions": Plant(inputs="pictures", build=partial(cnn, 8, 16, 16, 32)),
    "sound, cnn with batch norm": Plant(inputs="pictures", build=partial(cnn, 8, 16, 32, norm=nn.BatchNorm2d)),
    "sound, cnn with group norm": Plant(inputs="pictures", build=partial(cnn, 8, 16, norm=partial(nn.GroupNorm, 4))),
    "sound, flat cnn": Plant(inputs="pictures", build=lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 25, CLASSES))),
    "sound, residual": Plant(build=deep_residual),
    "sound, residual that begins at zero": Plant(build=rezero),
    "sound, last layer zero": Plant(build=changed(TWO, zero, which=slice(-1, None))),
    "sound, transformer": Plant(inputs="series", build=transformer),
    "sound, attention": Plant(inputs="series", build=partial(Attention, 6, 32, CLASSES)),
    "sound, gru": Plant(inputs="series", build=partial(Recurrent, nn.GRU)),
    "sound, lstm of two layers": Plant(inputs="series", build=partial(Recurrent, nn.LSTM, 16, 2)),
    "sound, rnn": Plant(inputs="series", build=partial(Recurrent, nn.RNN)),
    "sound, words": Plant(inputs="words", build=Words),
    "sound, frozen body": Plant(build=frozen(TWO, "0.", "2.")),
    "sound, frozen cnn": Plant(inputs="pictures", build=frozen(partial(cnn, 8, 16), "0.", "2.")),
    "sound, adapted": Plant(build=Adapted),
    "sound, numbers": Plant(**NUMBERS, build=ONE_OUTPUT),
    "sound, numbers by huber": Plant(**NUMBERS, build=ONE_OUTPUT, recipe={"loss.name": "huber"}),
    "sound, linear for numbers": Plant(**NUMBERS, build=partial(mlp, outputs=1)),
    "sound, two classes": Plant(task="binary", build=partial(mlp, 32, outputs=2)),
    "sound, one logit": Plant(task="binary", build=ONE_OUTPUT, recipe={"loss.name": "binary_cross_entropy"}),
    "sound, smoothing": Plant(build=TWO, recipe={"loss.label_smoothing": 0.3}),
    "sound, focal": Plant(build=TWO, recipe={"loss.name": "focal"}),
    "sound, balanced": Plant(build=TWO, recipe={"loss.class_weights": "balanced"}),
    "sound, sgd": Plant(build=TWO, recipe=sgd(0.1)),
    "sound, momentum": Plant(build=TWO, recipe={"optimizer.name": "momentum", "optimizer.lr": 0.01}),
    "sound, rate 1e-4": Plant(build=TWO, recipe={"optimizer.lr": 1e-4}),
    "sound, rate 1e-2": Plant(build=TWO, recipe={"optimizer.lr": 1e-2}),
    "sound, capped at 30": Plant(build=through(TWO, after=lambda z: 30 * torch.tanh(z / 30))),
    "sound, scaled cosines": Plant(build=Cosines),
    "sound, normal weights that fit": Plant(
        build=changed(TWO, lambda part: nn.init.kaiming_normal_(part.weight, nonlinearity="relu"))),
    "sound, orthogonal": Plant(build=changed(TWO, lambda part: nn.init.orthogonal_(part.weight))),
    "sound, float64": Plant(build=lambda: TWO().double()),
    "sound, inputs scaled inside": Plant(scale=1000.0,
        build=lambda: nn.Sequential(nn.BatchNorm1d(COLUMNS, affine=False), TWO())),
}  # fmt: skip

PLANTS = {**FAULTS, **SOUND}


class Gated(nn.Module):
    """A mixture of two experts, chosen by a softmax inside the network."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(COLUMNS, 2), nn.ModuleList([mlp(16), mlp(16)])

    def forward(self, x: Tensor) -> Tensor:
        shares = self.gate(x).softmax(dim=1)
        return sum(shares[:, i, None] * expert(x) for i, expert in enumerate(self.experts))  # type: ignore[return-value]


class Squeezed(nn.Module):
    """Convolutions with channels weighted by a sigmoid of their means."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.down, self.up, self.head = nn.Linear(16, 4), nn.Linear(4, 16), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.second(F.max_pool2d(F.relu(self.first(x)), 2)))
        shares = torch.sigmoid(self.up(F.relu(self.down(h.mean(dim=(2, 3))))))
        return self.head((h * shares[:, :, None, None]).mean(dim=(2, 3)))


class Sometimes(nn.Module):
    """Residual blocks, each of which is left out in half of the steps of training."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(COLUMNS, 24), nn.Linear(24, CLASSES)
        self.blocks = nn.ModuleList([Residual(24) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        for block in self.blocks:
            h = block(h) if not self.training or torch.rand(()) < 0.5 else h
        return self.head(h)


class Convolved(nn.Module):
    """Convolutions along a series, the largest of all places."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(6, 16, 3, padding=1), nn.ReLU(), nn.Conv1d(16, 16, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.transpose(1, 2)).amax(dim=2))


class Coded(nn.Module):
    """Tokens with their places through a layer of attention of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(WORDS, 16), nn.Parameter(0.02 * torch.randn(LENGTH, 16))
        self.layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True, activation="gelu"), 2,
            enable_nested_tensor=False,
        )  # fmt: skip
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.embed(x) + self.places)[:, 0])


def small(part: nn.Module) -> None:
    nn.init.normal_(part.weight, std=0.02)  # type: ignore[arg-type]
    nn.init.zeros_(part.bias)  # type: ignore[arg-type]


def frozen_features() -> nn.Module:
    made = cnn(16, 32, norm=nn.BatchNorm2d)
    for name, value in made.named_parameters():
        value.requires_grad_(name.startswith("8."))
    return made


# Written after every limit was set, to see what they say of what they have not seen.
SOUND_LATER = {
    "sound, later, gates": Plant(build=Gated),
    "sound, later, squeezed": Plant(inputs="pictures", build=Squeezed),
    "sound, later, blocks left out": Plant(build=Sometimes),
    "sound, later, convolutions of a series": Plant(inputs="series", build=Convolved),
    "sound, later, tokens with places": Plant(inputs="words", build=Coded),
    "sound, later, gru from both ends": Plant(
        inputs="series", build=partial(Recurrent, partial(nn.GRU, dropout=0.2), 12, 2)),
    "sound, later, small weights": Plant(build=changed(partial(mlp, 64, act=nn.GELU), small)),
    "sound, later, selu": Plant(build=partial(mlp, 32, 32, 32, 32, act=nn.SELU)),
    "sound, later, softplus inside": Plant(build=partial(mlp, 32, 32, act=nn.Softplus)),
    "sound, later, five layers with norm": Plant(build=partial(mlp, *[48] * 5, norm=nn.LayerNorm)),
    "sound, later, bottleneck": Plant(build=partial(mlp, 64, 2, 64)),
    "sound, later, wide and dropout for numbers": Plant(**NUMBERS, build=partial(mlp, 256, outputs=1, dropout=0.3)),
    "sound, later, numbers by mae": Plant(**NUMBERS, build=ONE_OUTPUT, recipe={"loss.name": "mae"}),
    "sound, later, numbers of pictures": Plant(**NUMBERS, inputs="pictures", build=partial(cnn, 8, 16, outputs=1)),
    "sound, later, frozen features with batch norm": Plant(inputs="pictures", build=frozen_features),
    "sound, later, spectral norm": Plant(
        build=lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(COLUMNS, 32)), nn.ReLU(),
                                    nn.Linear(32, CLASSES))),
    "sound, later, weight norm": Plant(
        build=lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(COLUMNS, 32)), nn.Tanh(),
                                    nn.Linear(32, CLASSES))),
    "sound, later, few rows": Plant(rows=40, build=TWO, recipe={"batch_size": 8}),
    "sound, later, lion": Plant(build=TWO, recipe={"optimizer.name": "lion", "optimizer.lr": 1e-4}),
    "sound, later, muon": Plant(build=TWO, recipe={"optimizer.name": "muon", "optimizer.lr": 2e-2}),
    "sound, later, schedule-free": Plant(
        build=TWO, recipe={"optimizer.name": "schedule_free_adamw", "optimizer.lr": 2.5e-3}),
    "sound, later, clipped": Plant(build=TWO, recipe={"optimizer.clip_norm": 1.0}),
    "sound, later, hinge": Plant(build=TWO, recipe={"loss.name": "hinge"}),
    "sound, later, maps of 1": Plant(inputs="pictures", build=lambda: nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2), nn.GELU(), nn.Conv2d(16, 32, 3, stride=2), nn.GELU(), nn.Flatten(),
        nn.Linear(32 * 4, CLASSES))),
}  # fmt: skip
PLANTS |= SOUND_LATER
