"""Logs of other programs: what is read, what is repaired and said, what is found, and in whose words."""

from __future__ import annotations

import base64
import csv
import json
import math
import random
import struct
from pathlib import Path

import pytest

from command_line import tame_here
from made_results import printed
from tame.app.diagnose import CHANGES, WORDS, change_in, diagnose, diagnosis_lines
from tame.app.event_files import Scalar, scalars
from tame.app.foreign_logs import Named, read_log
from tame.core.codes import CODES
from tame.core.errors import DataError, UsageError

NONE = Named()
# Accuracy to 0.987 in training; the validation loss turns in epoch 3.
LOSS = [1.6, 1.25, 1.08, 0.94, 0.81, 0.69, 0.58, 0.48, 0.4, 0.33, 0.27, 0.22, 0.18, 0.15, 0.13, 0.11, 0.09, 0.08, 0.06]
VALID = [
    1.3, 1.0, 0.879, 0.885, 0.9, 0.925, 0.95, 0.985, 1.02, 1.05, 1.09, 1.13, 1.16, 1.2, 1.23, 1.27, 1.3, 1.35, 1.392,
]  # fmt: skip
ACCURACY = [0.42 + 0.567 * (1 - math.exp(-i / 4)) / (1 - math.exp(-18 / 4)) for i in range(19)]
HELD = [0.53, 0.64, *(0.7 + 0.0009 * i for i in range(17))]
KERAS = {"loss": LOSS, "accuracy": ACCURACY, "val_loss": VALID, "val_accuracy": HELD}
# Written by TensorBoard 2.21: loss/train is 2.5 at step 0, 0.75 at 300 and NaN at 70,000; loss/val 1.125 at 300, a
# float64; a text beside them. As simple values and as tensors, in both ways that a tensor may hold a number.
WRITTEN = base64.b64decode(
    "SAAAAAAAAAD+kkidCXnTjY0hw9pBGg1icmFpbi5FdmVudDoyUi4KLHRlbnNvcmJvYXJkLnN1bW1hcnkud3JpdGVyLmV2ZW50X2ZpbGVfd3JpdGVy"
    "EnLNfx4AAAAAAAAA2dwSMgkAAAAAAADwPyoTChEKCmxvc3MvdHJhaW4VAAAgQNTQJ+5AAAAAAAAAACgX9JUJAAAAAAAA8D8QrAIqMgoWCgpsb3Nz"
    "L3RyYWluQggIASoEAABAPwoYCghsb3NzL3ZhbEIMCAIiCAAAAAAAAPI/D9iOETIAAAAAAAAAJBlW7AkAAAAAAADwPxDwogQqIwoRCgpsb3NzL3Ry"
    "YWluFQAAwH8KDgoEbm90ZUIGCAdCAmhpSPFVoQ=="
)


def codes(path: Path, **given: object) -> list[str]:
    return [each.id for each in diagnose(path, NONE, **given).findings]  # type: ignore[arg-type]


def keras(folder: Path, **changes: list[float]) -> Path:
    path = folder / "history.json"
    path.write_text(json.dumps({**KERAS, **changes}), encoding="utf-8")
    return path


def table(path: Path, rows: list[dict[str, object]], separator: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows(**names: list[float]) -> list[dict[str, object]]:
    columns = [range(1, len(LOSS) + 1), *names.values()]
    return [dict(zip(("epoch", *names), own, strict=True)) for own in zip(*columns, strict=True)]


# What is found --------------------------------------------------------------------------------------------------------


def test_a_keras_history_that_overfits_is_told_since_when_and_in_the_words_of_keras(tmp_path):
    found = diagnose(keras(tmp_path), NONE)
    assert [each.id for each in found.findings] == ["TAME301", "TAME302"]
    assert found.findings[0].title.startswith("overfitting since epoch 3")
    assert found.findings[0].evidence["lowest_valid_loss"] == 0.879
    assert found.findings[0].evidence["last_valid_loss"] == 1.392
    assert "EarlyStopping(monitor='val_loss'" in found.findings[0].change
    assert "while the accuracy did not get worse" in found.findings[1].title
    text = printed(diagnosis_lines(found))
    assert "Keras, 19 epochs, metric accuracy" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_same_curves_are_judged_alike_in_every_format(tmp_path):
    lightning = []
    for i, (loss, valid, held) in enumerate(zip(LOSS, VALID, HELD, strict=True)):
        lightning += [{"epoch": i, "step": 4 * i + b, "train_loss_step": loss + 0.01 * (b - 1)} for b in range(3)]
        lightning.append({"epoch": i, "step": 4 * i + 3, "val_loss": valid, "val_acc": held})
    columns = ["epoch", "step", "train_loss_step", "val_loss", "val_acc"]
    lightning = [{name: row.get(name, "") for name in columns} for row in lightning]
    state: list[dict[str, float]] = []
    for i, (loss, valid, held) in enumerate(zip(LOSS, VALID, HELD, strict=True), start=1):
        state += [{"epoch": i - 0.5, "step": 2 * i - 1, "loss": loss}, {"epoch": i, "step": 2 * i, "loss": loss}]
        state.append({"epoch": float(i), "step": 2 * i, "eval_loss": valid, "eval_accuracy": held, "eval_runtime": 9.0})
    state.append({"epoch": 19.0, "step": 38, "train_loss": 0.5, "train_runtime": 9.0})
    trainer = tmp_path / "trainer_state.json"
    trainer.write_text(json.dumps({"epoch": 19.0, "log_history": state}), encoding="utf-8")
    logs = {
        "keras": keras(tmp_path),
        "lightning": table(tmp_path / "metrics.csv", lightning),
        "transformers": trainer,
        "plain": table(tmp_path / "own.csv", rows(train_loss=LOSS, valid_loss=VALID, valid_accuracy=HELD)),
    }
    for tool, path in logs.items():
        found = diagnose(path, NONE)
        assert found.log.tool == tool
        assert [p.valid_loss for p in found.log.points] == VALID
        assert [p.train_loss for p in found.log.points] == pytest.approx(LOSS)
        assert [each.title.split(":")[0] for each in found.findings] == [
            "overfitting since epoch 3", "overconfident since epoch 3",
        ], tool  # fmt: skip


def test_a_healthy_log_is_left_alone(tmp_path):
    level = [0.3 + math.exp(-i / 2) for i in range(19)]
    assert codes(keras(tmp_path, loss=level, val_loss=[1.1 * each for each in level])) == []


def test_guessing_is_known_where_the_number_of_classes_is(tmp_path):
    flat, chance = [2.303 + 0.001 * (-1) ** i for i in range(19)], [0.1] * 19
    path = keras(tmp_path, loss=flat, val_loss=flat, accuracy=chance, val_accuracy=chance)
    assert codes(path) == []
    assert codes(path, classes=10, examples=500) == ["TAME309"]


def test_a_finding_is_muted_by_number_or_name_and_an_unknown_one_refused_with_a_near_name(tmp_path):
    path = keras(tmp_path)
    assert codes(path, mute=("TAME301",)) == ["TAME302"]
    assert codes(path, mute=("overconfident", "tame301")) == []
    with pytest.raises(UsageError, match="did you mean 'overfitting'"):
        codes(path, mute=("overfiting",))
    with pytest.raises(UsageError, match="no finding named 'TAME399'"):
        codes(path, mute=("TAME399",))


def test_every_change_can_be_said_in_the_words_of_every_program():
    assert set(CHANGES) <= set(CODES)
    for tool in (*WORDS, "tensorboard", "plain"):
        for code in CODES:
            assert "{" not in change_in(tool, code)
    assert "--folds" not in change_in("keras", "noisy_validation")


# What is repaired, and said -------------------------------------------------------------------------------------------


def test_percentages_separators_and_shuffled_epochs_are_mended_and_said(tmp_path):
    every = rows(**{"Training Loss": LOSS, "Validation Loss": VALID, "Val Accuracy": [100 * each for each in HELD]})
    random.Random(0).shuffle(every)
    german = [{name: str(value).replace(".", ",") for name, value in row.items()} for row in every]
    for separator in (";", "\t", "|"):
        log = read_log(table(tmp_path / "log.csv", german, separator), NONE)
        assert [p.valid_loss for p in log.points] == VALID
        assert [p.valid_metric for p in log.points] == pytest.approx(HELD)
        assert len(log.remarks) == 2
        assert "not in order" in log.remarks[0]
        assert "in percent" in log.remarks[1]


def test_epochs_that_begin_with_0_are_counted_from_1_and_said(tmp_path):
    every = rows(train_loss=LOSS, valid_loss=VALID)
    log = read_log(table(tmp_path / "log.csv", [{**row, "epoch": i} for i, row in enumerate(every)]), NONE)
    assert [p.epoch for p in log.points] == list(range(1, len(LOSS) + 1))
    assert log.remarks == ("the epochs of the file begin with 0; here they are counted from 1",)
    assert not read_log(table(tmp_path / "log.csv", every), NONE).remarks


def test_what_is_neither_a_share_nor_a_percentage_is_refused(tmp_path):
    with pytest.raises(DataError, match="accuracy of 530 is neither a share nor a percentage"):
        read_log(keras(tmp_path, val_accuracy=[530.0, *HELD[1:]]), NONE)


def test_an_epoch_without_numbers_is_left_out_and_an_end_without_them_is_divergence(tmp_path):
    hole = [*LOSS[:5], math.nan, *LOSS[6:]]
    log = read_log(keras(tmp_path, loss=hole), NONE)
    assert not log.lost
    assert len(log.points) == 18
    assert "epoch 6 are not numbers; left out" in log.remarks[0]
    path = keras(tmp_path, loss=[*hole[:10], *[math.nan] * 9], val_loss=[*VALID[:10], *[math.nan] * 9])
    found = diagnose(path, NONE)
    assert [each.title for each in found.findings] == ["diverged in epoch 11"]


def test_a_missing_loss_is_said_and_the_other_one_is_judged(tmp_path):
    path = tmp_path / "history.json"
    wild = [2.0 + 0.8 * (-1) ** i for i in range(19)]
    path.write_text(json.dumps({"loss": wild}), encoding="utf-8")
    found = diagnose(path, NONE)
    assert "no validation loss" in found.log.remarks[0]
    assert [each.code for each in found.findings] == ["rate_too_high"]
    path.write_text(json.dumps({"loss": LOSS, "val_loss": VALID[:9]}), encoding="utf-8")
    assert "val_loss has fewer values" in read_log(path, NONE).remarks[0]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "is empty"),
        ("epoch,loss,val_loss\n1,2.0,2.1\n", DataError, "holds 1 epoch with losses; a course shows in 3 or more"),
        ("epoch,lr,los\n1,2,3\n2,3,4\n3,4,5\n", DataError, r"no loss among its columns \(los, lr\).*--train COLUMN"),
        ("1,2,3\n4,5,6\n", DataError, "no names of columns"),
        ("epoch,loss,loss\n1,2,3\n", DataError, "two columns of one name"),
        ("epoch,loss\n1,2,3\n", DataError, "line 2: 3 values for 2 columns"),
        ("[1, 2", DataError, "is not JSON"),
        ('{"a": 1}', DataError, "holds no history"),
        ('{"loss": ["x", "y", "z"]}', DataError, "'x' is not a number"),
        ("[" * 100_000, DataError, "is not JSON"),
    ],
    ids=["empty", "one epoch", "no loss", "no names", "twice", "ragged", "torn", "no history", "text", "deep"],
)
def test_what_holds_no_course_is_refused_with_the_reason(tmp_path, text, error, message):
    path = tmp_path / "log.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        read_log(path, NONE)


def test_columns_can_be_named_and_an_unknown_one_has_a_near_name(tmp_path):
    path = table(tmp_path / "own.csv", rows(los=LOSS, held_out=VALID))
    log = read_log(path, Named(train="los", valid="held_out"))
    assert [p.valid_loss for p in log.points] == VALID
    with pytest.raises(UsageError, match="no column named 'heldout'; did you mean 'held_out'"):
        read_log(path, Named(train="los", valid="heldout"))
    with pytest.raises(UsageError, match="there is no log"):
        read_log(tmp_path / "none.csv", NONE)


def test_a_log_of_many_steps_is_averaged(tmp_path):
    steps = 5_000
    losses = [2.0 * math.exp(-i / 900) + 0.3 for i in range(steps)]
    path = table(tmp_path / "own.csv", [{"step": i, "loss": loss} for i, loss in enumerate(losses)])
    log = read_log(path, NONE)
    assert len(log.points) == 500
    assert log.points[0].train_loss == pytest.approx(sum(losses[:10]) / 10)
    assert "5,000 entries were averaged to 500" in log.remarks[-1]


# Event files ----------------------------------------------------------------------------------------------------------


def crc32c(data: bytes) -> int:
    """Bit by bit, from the definition."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record(event: bytes) -> bytes:
    """An event framed as a TFRecord."""

    def checksum(data: bytes) -> bytes:
        crc = crc32c(data)
        return struct.pack("<I", (((crc >> 15) | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)

    size = struct.pack("<Q", len(event))
    return size + checksum(size) + event + checksum(event)


def scalar_event(tag: str, step: int, value: float) -> bytes:
    """A record with one simple value; of a step below 128, which is one byte."""
    own = b"\x0a" + bytes([len(tag)]) + tag.encode() + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + bytes([len(own)]) + own
    return record(
        b"\x09" + struct.pack("<d", 1.0) + b"\x10" + bytes([step]) + b"\x2a" + bytes([len(summary)]) + summary
    )


def test_the_checksum_is_that_of_the_definition():
    assert crc32c(b"123456789") == 0xE3069283


def test_a_file_that_tensorboard_wrote_is_read_number_for_number():
    found, is_cut = scalars(WRITTEN, "file")
    assert not is_cut
    assert found[:3] == [Scalar("loss/train", 0, 2.5), Scalar("loss/train", 300, 0.75), Scalar("loss/val", 300, 1.125)]
    assert (found[3].tag, found[3].step) == ("loss/train", 70_000)
    assert math.isnan(found[3].value)
    assert len(found) == 4, "a text is no number"


def event_file(path: Path, **tags: list[float]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    events = [
        scalar_event(tag.replace("__", "/"), i, value) for i in range(19) for tag, values in tags.items()
        for value in [values[i]]
    ]  # fmt: skip
    path.write_bytes(b"".join(events))
    return path


def test_tags_of_one_file_and_of_two_runs_are_told_apart(tmp_path):
    event_file(tmp_path / "one" / "events.out.tfevents.1", loss__train=LOSS, loss__val=VALID, acc__val=HELD)
    for run, losses, shares in (("train", LOSS, ACCURACY), ("validation", VALID, HELD)):
        event_file(tmp_path / "two" / run / "events.out.tfevents.1", epoch_loss=losses, epoch_accuracy=shares)
    for folder in ("one", "two"):
        assert codes(tmp_path / folder) == ["TAME301", "TAME302"]


def test_a_truncated_event_file_is_read_as_far_as_it_goes_and_a_damaged_one_refused(tmp_path):
    path = event_file(tmp_path / "x.tfevents.1", loss__train=LOSS, loss__val=VALID)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    log = read_log(path, NONE)
    assert 5 < len(log.points) < 19
    assert "ends in the middle of a record" in log.remarks[0]
    for at in (30, len(whole) // 2):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DataError, match="is damaged at byte"):
            read_log(path, NONE)
    path.write_bytes(b"no event file at all")
    with pytest.raises(DataError, match="is not an event file"):
        read_log(path, NONE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no event file"):
        read_log(tmp_path / "empty", NONE)


@pytest.mark.parametrize("cut", range(1, 40))
def test_no_cut_of_an_event_file_is_an_error_of_ours(cut):
    found, is_cut = scalars(WRITTEN[:-cut], "file")
    assert is_cut
    assert len(found) == 3


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_prints_one_document_and_its_exit_code_tells_bad_logs(tmp_path):
    done = tame_here("diagnose", keras(tmp_path), "--json", cache=tmp_path)
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["tool"] == "keras"
    assert [each["id"] for each in document["findings"]] == ["TAME301", "TAME302"]
    first = document["findings"][0]
    assert first["confidence"] == "high"
    assert first["mute"] == "--mute TAME301"
    assert first["why"].count(".") == 2
    (tmp_path / "one.csv").write_text("epoch,loss\n1,2\n", encoding="utf-8")
    assert tame_here("diagnose", tmp_path / "one.csv", cache=tmp_path).returncode == 3
    assert tame_here("diagnose", tmp_path / "none.csv", cache=tmp_path).returncode == 2
