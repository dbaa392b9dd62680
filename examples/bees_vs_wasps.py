import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Bees and wasps")


@app.cell
def _():
    import marimo as mo

    return (mo,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Bees and wasps: from the first network to one that you can trust

    You have a folder of pictures and want a network that names what they show. This notebook goes all the way: look
    at the data, split it, train a small network, read its curves, find five mistakes that many notebooks make, try
    other settings, let TAME's doctor try, and start from a pretrained network instead.

    Every number is computed in the cell above it, with its 95 % interval. Change a value, run the notebook again, and
    the conclusions follow. The pictures are drawn, so nothing is downloaded; set `FOLDER` to use a folder of your
    own.

    It needs pandas for its tables, and runs as `jupyter lab bees_vs_wasps.ipynb`, as `marimo edit bees_vs_wasps.py`
    and as `python bees_vs_wasps.py`.
    """)
    return


@app.cell
def _():
    from dataclasses import replace
    from functools import partial
    from pathlib import Path

    import numpy as np
    import torch
    from PIL import Image, ImageOps
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import confusion_matrix
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.neighbors import KNeighborsClassifier
    from torch import nn
    from torch.utils.data import DataLoader

    import tame
    from tame.app.demo import drawn_once
    from tame.app.drawing.picture_set import Faults, draw
    from tame.app.preview import check_data
    from tame.core.config import StudyConfig
    from tame.core.result import Result
    from tame.data.array_pictures import as_pictures, same_pictures
    from tame.data.split import groups_of
    from tame.evaluate.compare import share_interval
    from tame.evaluate.networks import loss_difference
    from tame.evaluate.score import difference, judged_from, score
    from tame.evaluate.seeds import beyond_seeds, optimism, seed_noise
    from tame.report.case_words import came_of_it
    from tame.study.consistency import contradictions
    from tame.study.state import read_state

    return (
        DataLoader,
        Faults,
        Image,
        ImageOps,
        KNeighborsClassifier,
        Path,
        Result,
        RidgeClassifier,
        StratifiedGroupKFold,
        StudyConfig,
        as_pictures,
        beyond_seeds,
        came_of_it,
        check_data,
        confusion_matrix,
        contradictions,
        difference,
        draw,
        drawn_once,
        groups_of,
        judged_from,
        loss_difference,
        nn,
        np,
        optimism,
        partial,
        read_state,
        replace,
        same_pictures,
        score,
        seed_noise,
        share_interval,
        tame,
        torch,
    )


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 1. Load

    A folder of your own holds one folder of pictures for each class, such as `photos/bee/1.jpg`. Files that cannot be
    read as pictures are left out and listed: a class that loses many of them is a sign of trouble.
    """)
    return


@app.cell
def _(Faults, Image, ImageOps, Path, draw, drawn_once, np):
    FOLDER = None  # or the path of a folder of your own
    SIDE = 32  # pixels: few, so that a network from scratch is trained in seconds
    COUNT = 160  # drawn pictures of each class

    folder = Path(FOLDER) if FOLDER else Path("runs") / f"bees-and-wasps-{COUNT}"
    if not FOLDER and not folder.exists():
        counts = {"bee": COUNT, "wasp": COUNT}
        faults = Faults(mislabelled=4, near_duplicates=8, copies=4, unreadable=3)
        drawn_once(folder, lambda place: draw(place, seed=1, counts=counts, faults=faults))

    paths, labels, small, left_out = [], [], [], []
    for path in sorted(folder.glob("*/*")):
        try:
            picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        except OSError as problem:
            left_out.append(f"{path.name}: {problem}")
            continue
        paths.append(path)
        labels.append(path.parent.name)
        small.append(np.asarray(ImageOps.fit(picture, (SIDE, SIDE))))
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise ValueError(
            f"{folder} has {len(classes)} classes; it must hold a folder of pictures for each of two or more"
        )
    X = np.stack(small).transpose(0, 3, 1, 2)  # (pictures, 3, SIDE, SIDE), bytes
    y = np.array([classes.index(label) for label in labels])
    names = np.array(labels)
    print(f"{len(X)} pictures of {', '.join(classes)}; {len(left_out)} files left out", *left_out, sep="\n  ")
    return SIDE, X, classes, folder, names, paths, y


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 2. Look

    Before any training, look at ten pictures of each class, at the size that the network will see. What you cannot
    tell apart here, the network may not tell apart either.
    """)
    return


@app.cell
def _(Image, SIDE, X, classes, np, y):
    strips = [np.concatenate(list(X[y == k][:10].transpose(0, 2, 3, 1)), axis=1) for k in range(len(classes))]
    sheet = np.concatenate([np.pad(own, ((0, 0), (0, 10 * SIDE - own.shape[1]), (0, 0))) for own in strips])
    print("from top to bottom:", ", ".join(classes))
    Image.fromarray(sheet).resize((2 * sheet.shape[1], 2 * sheet.shape[0]))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Then let TAME look: for copies, for labels that contradict each other, for classes that are too small. This is
    what `tame check FOLDER` does on the command line. Nothing is trained.
    """)
    return


@app.cell
def _(StudyConfig, check_data, folder):
    checked = check_data(StudyConfig(data=str(folder), backbone="none"))
    for finding in checked.findings:
        print(f"{finding.id} {finding.title}; {finding.change}")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 3. Split by groups

    There are three parts. The network learns from the *training* pictures, you choose by the *validation* pictures,
    and the *exam* is looked at once, at the very end. Pictures that show the same belong together: with one of them
    in training and its copy in the exam, the exam would test memory. So copies form a group, and a group is never
    divided.
    """)
    return


@app.cell
def _(StratifiedGroupKFold, X, as_pictures, groups_of, np, same_pictures, y):
    pairs, _ = same_pictures(as_pictures(X))
    groups = groups_of(len(X), pairs)

    def fifths(groups, y=y):
        """The fifth that each picture is in, 0 to 4: classes in proportion, groups undivided."""
        found = np.empty(len(y), dtype=int)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(y, y, groups)
        for number, (_, own) in enumerate(folds):
            found[own] = number
        return found

    def divided(part, pairs=pairs):
        """How many pairs of copies lie in two parts."""
        return sum(bool(part[a] != part[b]) for a, b in pairs)

    alone = np.arange(len(y))  # as if no picture belonged to another
    part = np.array(["exam", "validation", "training", "training", "training"])[fifths(groups)]
    exam, valid, train = (np.flatnonzero(part == own) for own in ("exam", "validation", "training"))
    work = np.flatnonzero(part != "exam")  # all that may be looked at before the end
    print(f"{len(train)} pictures to learn from, {len(valid)} to choose by, {len(exam)} for the exam")
    print(f"of {len(pairs)} pairs of copies, a split without groups divides {divided(fifths(alone))}")
    print(f"the split by groups divides {divided(part)}")
    return divided, exam, fifths, groups, train, valid, work


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 4. A first network, from scratch

    Three convolutions, each followed by an activation and by pooling, which halves the side; then one hidden layer.
    The last layer gives one raw score for each class, its *logit*. There is no softmax at the end, because the loss
    has one.

    `tame.fit` trains it as a study: it seals a fifth of what it is given, chooses by the rest, and opens the sealed
    fifth once, for the score.
    """)
    return


@app.cell
def _(SIDE, X, classes, names, nn, np, partial, tame, train, work):
    EPOCHS, RATE = 12, 3e-3

    # Weights are made for inputs with a mean of 0 and a standard deviation of 1, as each colour has in training now.
    about = {"axis": (0, 2, 3), "keepdims": True}
    scaled = ((X - X[train].mean(**about)) / X[train].std(**about)).astype(np.float32)

    def build(activation="ReLU", width=8):
        """Three convolutions and a hidden layer, which give a logit for each class."""
        layers, channels = [], 3
        for out in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(channels, out, 3, padding=1), getattr(nn, activation)(), nn.MaxPool2d(2)]
            channels = out
        hidden = [nn.Flatten(), nn.Linear(channels * (SIDE // 8) ** 2, 64), getattr(nn, activation)()]
        return nn.Sequential(*layers, *hidden, nn.Linear(64, len(classes)))

    def fit(make, x=scaled, **settings):
        """A study of one recipe on all pictures but those of the exam."""
        recipe = {"optimizer.lr": RATE, "schedule.name": "constant", "batch_size": 16}
        # `partial`: a function that only a notebook holds is trained in this process.
        given = {"model": partial(make), "set": recipe, "trials": 1, "epochs": EPOCHS, "folds": 2, "seed": 0}
        given["task"] = "classification"  # also where the names of classes are numbers
        return tame.fit((x[work], names[work]), **given | settings)

    def by_class(study, outputs):
        """The columns of a study's outputs in the order of `classes`."""
        return outputs[:, [study.result["classes"].index(name) for name in classes]]

    first = fit(build)
    first
    return EPOCHS, RATE, build, by_class, first, fit, scaled


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 5. Read its curves

    Two lines matter: the loss on the pictures that the network learns from, and the loss on others.

    - Both still fall at the end: it is *undertrained*. Give it more epochs, or a higher rate.
    - Both are flat, and bad: it *underfits*. A larger network or better inputs may help.
    - The first falls and the second rises: it *overfits*. More pictures, augmentation, weight decay, dropout or an
      earlier end may help.
    - The loss jumps up and down, or is not a number any more: the rate is too high.

    Look at the chart, decide, and only then read what the doctor says below it.
    """)
    return


@app.cell
def _(first):
    first.plot("curves")
    return


@app.cell
def _(first):
    def read(study):
        """What the curve of a study's first trial says, and what the doctor says of it."""
        curves = study.curves()
        own = curves[curves["trial"] == 0]
        best, last = own.loc[own["valid_loss"].idxmin()], own.iloc[-1]
        print(f"the validation loss is lowest in epoch {best.epoch:.0f} of {last.epoch:.0f}: {best.valid_loss:.3f}")
        print(f"at the end the training loss is {last.train_loss:.3f}, the validation loss {last.valid_loss:.3f}")
        for finding in study.findings:
            if finding.id.startswith("TAME3"):  # those about curves
                print(f"{finding.id} {finding.title}; {finding.change}")

    read(first)
    return (read,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    `study.trials()` and `study.curves()` are the same as tables, `study.module` is the trained network, and
    `study.report("report.html")` writes everything on one page.
    """)
    return


@app.cell
def _(first):
    first.trials()
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 6. Five planted faults

    Each of the next five pieces of code is wrong, and notebooks with each of these mistakes have been published. Read
    the code, find the fault, and only then run the cell below it: it shows what TAME's check says, and what the fault
    did to the number.

    First come a plain training loop, as in any course, and a few helpers. `judged` keeps the name of each picture
    beside what was said of it, so that answers about different pictures cannot be compared by accident.
    """)
    return


@app.cell
def _(
    EPOCHS,
    RATE,
    build,
    classes,
    groups,
    judged_from,
    nn,
    np,
    paths,
    scaled,
    score,
    share_interval,
    torch,
    train,
    valid,
    y,
):
    inputs = torch.from_numpy(scaled)
    truth = torch.from_numpy(y)

    def trained(
        make=build, *, x=inputs, loss="CrossEntropyLoss", optimizer="AdamW", lr=RATE, epochs=EPOCHS, seed=0, **changes
    ):
        """A network that has learned from the training pictures. changes: arguments of `make`."""
        torch.manual_seed(seed)
        network, order = make(**changes), torch.Generator().manual_seed(seed)
        rule, cost = getattr(torch.optim, optimizer)(network.parameters(), lr=lr), getattr(nn, loss)()
        for _ in range(epochs):
            for batch in torch.from_numpy(train)[torch.randperm(len(train), generator=order)].split(16):
                rule.zero_grad()
                cost(network(x[batch]), truth[batch]).backward()
                rule.step()
        return network.eval()

    def judged(logits, rows):
        """Answers with the names of their pictures. logits: (pictures, classes)."""
        task = "binary" if len(classes) == 2 else "multiclass"
        ids = [str(paths[row]) for row in rows]
        return judged_from(task, ids, y[rows], np.asarray(logits), groups=groups[rows])

    def on_valid(network, x=inputs):
        """The answers of a network on the validation pictures."""
        with torch.no_grad():
            return judged(network(x[valid]), valid)

    def told(found):
        """A score or a difference in words."""
        sign = "+" if hasattr(found, "verdict") else ""
        words = f"{found.value:{sign}.3f} ({found.low:{sign}.3f} to {found.high:{sign}.3f}, {found.n} pictures)"
        return f"{words}, {found.verdict}" if sign else words

    def accuracy(answers):
        """The share of right answers, with its interval."""
        return score("accuracy", answers, how="", seed=0)

    def share(right, groups=None):
        """The share of right answers in words. right: a truth value for each picture; groups: which belong together."""
        low, high = share_interval(right, groups)
        return f"{right.mean():.3f} ({low:.3f} to {high:.3f}, {len(right)} pictures)"

    base = on_valid(trained())
    print("accuracy on the validation pictures:", told(accuracy(base)))
    return accuracy, base, judged, on_valid, share, told, trained


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ### Fault 1

    The network is asked once more about the sealed pictures of the first study, for a confusion matrix.
    """)
    return


@app.cell
def _(
    DataLoader,
    Result,
    by_class,
    confusion_matrix,
    first,
    np,
    read_state,
    scaled,
    torch,
    work,
    y,
):
    _, record = read_state(first.folder)
    result = Result.from_json(first.result)
    split = (first.folder / "split.csv").read_text().splitlines()[1:]
    sealed = work[[int(line.split(",")[0]) for line in split if line.split(",")[1] == "test"]]

    torch.manual_seed(0)
    loader = DataLoader(sealed, batch_size=16, shuffle=True)
    predicted = np.concatenate([by_class(first, first.outputs(scaled[rows.numpy()])).argmax(axis=1) for rows in loader])
    labels_of_them = np.concatenate([y[rows.numpy()] for rows in loader])
    matrix = confusion_matrix(labels_of_them, predicted)
    matrix
    return labels_of_them, matrix, predicted, record, result


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **What is wrong:** the loader shuffles, and there are two passes over it. The predictions come in the order of the
    first pass, the labels in that of the second, so the matrix compares each answer with the label of another
    picture.

    **TAME's check:** at the end of every study its numbers are compared with each other, and nothing is reported if
    two of them disagree. `tame verify STUDY` compares them again. Here it is asked about the study with the matrix
    planted in it.
    """)
    return


@app.cell
def _(
    contradictions,
    first,
    labels_of_them,
    matrix,
    predicted,
    record,
    replace,
    result,
    share,
    told,
):
    planted = replace(result, answers=replace(result.answers, confusion=tuple(map(tuple, matrix.tolist()))))
    print("the study as it is:", list(contradictions(record, result)) or "nothing disagrees")
    print("with the matrix:", *contradictions(record, planted), sep="\n  ")
    print("accuracy of the study:", told(first.score))
    print("accuracy that the matrix shows:", share(predicted == labels_of_them))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The fix: one pass that collects both, or a loader that does not shuffle.

    ### Fault 2

    Many networks are tried, and the best accuracy is reported as that of the test.
    """)
    return


@app.cell
def _(
    RidgeClassifier,
    X,
    accuracy,
    classes,
    judged,
    np,
    told,
    train,
    valid,
    y,
):
    few, others = valid[::3], np.setdiff1d(valid, valid[::3])
    flat = X.reshape(len(X), -1) / 255

    def random_features(number):
        """A network whose first layer stays as it was drawn; only the last one is fitted."""
        hidden = np.maximum(flat @ np.random.default_rng(number).normal(size=(flat.shape[1], 40)), 0)
        return RidgeClassifier().fit(hidden[train], y[train]).decision_function(hidden).reshape(len(X), -1)

    outputs = [random_features(number) for number in range(60)]
    if len(classes) == 2:  # one number for both classes
        outputs = [np.concatenate([-own, own], axis=1) for own in outputs]
    on_few = [accuracy(judged(own[few], few)) for own in outputs]
    best = max(range(60), key=lambda number: on_few[number].value)
    print("test accuracy:", told(on_few[best]))
    return best, on_few, others, outputs


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **What is wrong:** these pictures chose the network, so they are validation pictures, whatever they are called.
    The best of sixty is partly the luckiest of sixty.

    **TAME's check:** the test part of a study is sealed, its opening is on record, and what validation promised is
    compared with what the test gave. Where the difference is more than the noise of both explains, that is a finding
    (TAME505).
    """)
    return


@app.cell
def _(accuracy, best, first, judged, on_few, optimism, others, outputs, told):
    promised, held = on_few[best], accuracy(judged(outputs[best][others], others))
    print("promised by the pictures that chose:", told(promised))
    print("on pictures that chose nothing:", told(held))
    print("promised too much by:", told(optimism("accuracy", promised, held, None, networks=0)))
    print(f"the first study opened its test part {first.result['test_openings']} time(s)")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The fix: a third part, which is opened once, when nothing is left to choose. Here that is the exam.

    ### Fault 3

    To have more pictures, each is added once more, a little brighter. Then they are split.
    """)
    return


@app.cell
def _(KNeighborsClassifier, X, fifths, np, share, work, y):
    twice = np.concatenate([X[work], np.clip(X[work] * 1.1, 0, 255).astype(np.uint8)])
    label_twice = np.concatenate([y[work], y[work]])
    fold = fifths(np.arange(len(twice)), label_twice)
    as_rows = twice.reshape(len(twice), -1) / 255
    # A method that only remembers: it answers with the label of the most similar training picture.
    by_heart = KNeighborsClassifier(1).fit(as_rows[fold > 0], label_twice[fold > 0])
    right = by_heart.predict(as_rows[fold == 0]) == label_twice[fold == 0]
    print("accuracy:", share(right))
    return as_rows, fold, label_twice, right, twice


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **What is wrong:** of many pictures one version is in training and the other in the test. A method that knows
    nothing but its training pictures by heart looks good.

    **TAME's check:** copies are found before the split, also turned, mirrored, cropped and brightened ones, and stay
    on one side (TAME101). If you give a test part with copies in it, that is a finding too (TAME106).
    """)
    return


@app.cell
def _(
    KNeighborsClassifier,
    as_pictures,
    as_rows,
    divided,
    fifths,
    fold,
    groups_of,
    label_twice,
    right,
    same_pictures,
    share,
    twice,
):
    again, _ = same_pictures(as_pictures(twice))
    together = groups_of(len(twice), again)
    honest = fifths(together, label_twice)
    by_groups = KNeighborsClassifier(1).fit(as_rows[honest > 0], label_twice[honest > 0])
    right_by_groups = by_groups.predict(as_rows[honest == 0]) == label_twice[honest == 0]
    print(f"{len(again)} pairs of copies; the split divides {divided(fold, again)}, by groups {divided(honest, again)}")
    print("accuracy without groups:", share(right, together[fold == 0]))
    print("accuracy by groups:", share(right_by_groups, together[honest == 0]))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The fix: split first, by groups, and augment the training part alone.

    ### Fault 4

    The network ends as many do in books: with probabilities.
    """)
    return


@app.cell
def _(accuracy, build, nn, on_valid, told, trained):
    def with_softmax():
        return nn.Sequential(build(), nn.Softmax(dim=1))

    soft = on_valid(trained(with_softmax))
    print("accuracy:", told(accuracy(soft)))
    return soft, with_softmax


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **What is wrong:** `CrossEntropyLoss` has the softmax in it and needs logits. With two of them the loss can never
    get low, and the gradient is small where it should be large. Nothing fails, so nobody notices. Whether it mattered
    on these few pictures, the intervals say.

    **TAME's check:** a module that ends like this is refused. Where the softmax hides in `forward()`, TAME moves the
    weights for a moment before the search, and sees that the outputs never leave the range from 0 to 1 (TAME201).
    """)
    return


@app.cell
def _(base, difference, fit, soft, tame, told, with_softmax):
    try:
        fit(with_softmax, quiet=True)
    except tame.TameError as refusal:
        print("TAME:", refusal)
    print("accuracy, with softmax minus without:", told(difference("accuracy", soft, base, seed=0)))
    print("log loss, with softmax minus without:", told(difference("log_loss", soft, base, seed=0)))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The fix: leave the softmax out, and apply it to the outputs when you want to read probabilities.

    ### Fault 5

    The pictures are given to the network as they come from the files.
    """)
    return


@app.cell
def _(X, accuracy, on_valid, told, torch, trained):
    raw = torch.from_numpy(X).float()
    unscaled = on_valid(trained(x=raw), raw)
    print("accuracy:", told(accuracy(unscaled)))
    return (unscaled,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    **What is wrong:** the inputs are numbers up to 255, and the first weights are made for inputs near 1. The first
    outputs are hundreds instead of ones: the network is surely wrong before it has learned anything.

    **TAME's check:** before the search the loss of the untrained network is compared with that of guessing (TAME202).
    """)
    return


@app.cell
def _(X, base, build, difference, fit, np, told, unscaled):
    for fault in fit(build, X.astype(np.float32), epochs=1, quiet=True).findings:
        if fault.id == "TAME202":
            print(f"{fault.id} {fault.title}; {fault.change}")
    print("accuracy, unscaled minus scaled:", told(difference("accuracy", unscaled, base, seed=0)))
    print("log loss, unscaled minus scaled:", told(difference("log_loss", unscaled, base, seed=0)))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The fix: subtract the mean of the training pictures, and divide by their standard deviation. An optimizer that
    scales each step, such as Adam, may hide this fault; whether it did here, the interval says.

    ## 7. Experiment

    One function, one change at a time, the same pictures, the same seeds. Each change is trained with several seeds,
    since a network also differs from itself with another seed. The interval counts both: the luck of the pictures and
    that of the seeds. Only the validation pictures are looked at.
    """)
    return


@app.cell
def _(
    RATE,
    beyond_seeds,
    loss_difference,
    on_valid,
    seed_noise,
    told,
    trained,
):
    SEEDS = (0, 1)

    def tries(**changes):
        return [on_valid(trained(seed=seed, **changes)) for seed in SEEDS]

    usual = tries()

    def experiment(**changes):
        """How much more accurate the network is with these changes, with its 95 % interval."""
        own = tries(**changes)
        found = loss_difference("accuracy", own, usual, seed=0, how="the mean of several seeds")
        found = beyond_seeds(found, seed_noise("accuracy", [usual, own]), networks=2 / len(SEEDS))
        print(f"{', '.join(f'{name}={value}' for name, value in changes.items())}: {told(found)}")
        return found

    experiments = [
        experiment(activation="Sigmoid"),
        experiment(loss="MultiMarginLoss"),
        experiment(optimizer="SGD"),
        experiment(lr=RATE / 30),
        experiment(epochs=3),
    ]
    real = sum(found.is_real for found in experiments)
    print(f"{real} of {len(experiments)} changes made a real difference")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Sigmoids shrink the gradient in each layer. The margin loss stops caring once an answer is right by enough. Plain
    SGD needs another rate than AdamW: an optimizer and its rate belong together, and a comparison at one rate says
    little. A rate that is too low and too few epochs look the same on the curve: both are undertrained.

    "No real difference" does not say that two settings are equal. It says that so few pictures and seeds cannot tell.

    Try your own: `experiment(width=16)`, `experiment(activation="GELU", epochs=25)`.

    ## 8. Let the doctor try

    The doctor names what is wrong with a curve, changes one setting, trains both with the same seeds, and keeps the
    change only if the validation loss falls by more than chance. Here it gets a network that is trained for too long.
    """)
    return


@app.cell
def _(EPOCHS, Result, build, came_of_it, fit, read, told):
    treated = fit(build, epochs=2 * EPOCHS, doctor=True)
    read(treated)
    tried = [line for case in Result.from_json(treated.result).cases for line in came_of_it(case)]
    print("what the doctor tried:", *tried or ["nothing: no finding that it treats"], sep="\n  ")
    print("accuracy on what this study sealed:", told(treated.score))
    return (treated,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 9. Start from a pretrained network

    A network that has seen a million photographs already knows edges, textures and shapes. Its last layer is replaced
    and trained, and the rest stays as it is: *transfer learning*. To train a part of the rest as well, at a low rate,
    is *fine-tuning*. With few pictures the first is the place to start.

    `tame.fit` takes the paths of the pictures, and uses the network that comes with TAME.
    """)
    return


@app.cell
def _(names, paths, tame, work):
    transfer = tame.fit(
        ([paths[row] for row in work], names[work]),
        backbone="lite0",
        task="classification",
        set={"input.size": 96},
        trials=1,
        epochs=10,
        folds=2,
        seed=0,
    )
    transfer
    return (transfer,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 10. The exam

    Now, once, the pictures that nothing has seen: the network from scratch, and the one that started from a
    pretrained one.
    """)
    return


@app.cell
def _(
    accuracy,
    by_class,
    classes,
    difference,
    exam,
    judged,
    np,
    paths,
    scaled,
    told,
    transfer,
    treated,
):
    def in_exam(probabilities):
        return judged(np.log(np.clip(probabilities, 1e-9, 1)), exam)

    answers = transfer.predict([paths[row] for row in exam])
    order = [[each["probabilities"][name] for name in classes] for each in answers]
    scratch, pretrained = in_exam(by_class(treated, treated.outputs(scaled[exam]))), in_exam(np.array(order))
    gain = difference("accuracy", pretrained, scratch, seed=0)
    print("from scratch:", told(accuracy(scratch)))
    print("pretrained:", told(accuracy(pretrained)))
    print("pretrained minus scratch:", told(gain))
    print("what its own study had said:", told(transfer.score))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Read the last two lines together. The first says whether the pretrained network is really better here; the second
    whether the study's own number held on pictures that it never had.

    The trained network is a plain module. It takes raw pictures, and does the preprocessing itself.
    """)
    return


@app.cell
def _(Image, ImageOps, exam, names, np, paths, torch, transfer):
    raw_picture = np.asarray(ImageOps.exif_transpose(Image.open(paths[exam[0]])).convert("RGB"))
    with torch.no_grad():
        logits = transfer.module(torch.from_numpy(raw_picture.transpose(2, 0, 1).copy())[None])
    said = logits.softmax(dim=1)[0].tolist()
    print(f"{paths[exam[0]].name} is a {names[exam[0]]}:")
    for name, probability in zip(transfer.result["classes"], said, strict=True):
        print(f"  {name} {probability:.3f}")
    return


if __name__ == "__main__":
    app.run()
