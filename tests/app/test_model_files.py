"""`tame export --onnx`: a file and a note where all is well, and otherwise a clear word and no file."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnx", reason="the extra onnx is not installed")

import tame  # noqa: E402
from command_line import tame_here  # noqa: E402
from made_rows import made_network, made_table  # noqa: E402
from tame.app.model_files import export_model  # noqa: E402
from tame.core.errors import DataError, StorageError, UsageError  # noqa: E402
from tame.kinds.onnx import METADATA, onnx_form  # noqa: E402
from tame.parts.network import write_network  # noqa: E402
from tame.parts.onnx_nodes import graph_of  # noqa: E402
from tame.report.delivered_section import of_export  # noqa: E402


def build(width=4):
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))


OLD = Path(__file__).parents[1] / "data" / "old_studies"


@pytest.mark.slow
def test_a_network_of_pictures_is_written_too(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    with zipfile.ZipFile(OLD / "pictures.zip") as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = exported("pictures-study", "--check", "new")
    assert done.returncode == 0, done.stderr
    said = "which gives the same labels as tame predict on 4 pictures of new, 9 made pictures, 3 pictures in one call"
    assert said in " ".join(done.stderr.split())
    session = onnxruntime.InferenceSession("model.onnx")
    wanted = json.loads(Path("predict.json").read_text(encoding="utf-8"))["predictions"]
    for each in wanted:
        pixels = np.asarray(Image.open(Path("new") / Path(each["input"]).name).convert("RGB"))
        label, probabilities = session.run(None, {"picture": pixels[None]})
        assert label[0] == each["label"]
        assert probabilities[0].max() == pytest.approx(each["probability"], abs=1e-3)


@pytest.fixture
def studies(tmp_path, monkeypatch):
    """Finished studies of a table and of a module of one's own, and one that was stopped."""
    for name in ("table", "own", "stopped"):
        with zipfile.ZipFile(OLD / f"{name}.zip") as archive:
            archive.extractall(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    return tmp_path


def exported(study, *words):
    return tame_here("export", study, "--onnx", "model.onnx", *words, cache="cache")


def test_a_file_is_written_with_a_note_and_says_what_predict_says(studies):
    done = exported("table/table", "--check", "table/rows.csv")
    assert (done.returncode, done.stdout) == (0, "model.onnx\n"), done.stderr
    assert done.stderr.startswith(
        "written as model.onnx (28 kB), which gives the same numbers as tame predict on 5 rows of "
    )
    content = Path("model.onnx").read_bytes()
    note = json.loads(Path("model.onnx.json").read_text(encoding="utf-8"))
    assert (note["schema"], note["file"]) == ("tame/1", "model.onnx")
    assert (note["sha256"], note["size_bytes"]) == (sha256(content).hexdigest(), len(content))
    assert [each["labels_differ"] for each in note["parity"]] == [0, 0, 0]
    assert all(Path(name).stat().st_mode & 0o077 == 0 for name in ("model.onnx", "model.onnx.json"))
    session = onnxruntime.InferenceSession(content)
    about = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    assert [each["name"] for each in about["inputs"]] == ["age", "ward", "since", "visits"]
    rows = {"age": np.array([86.0]), "ward": np.array(["south"], object), "since": np.array([16_400.0])}
    rows["visits"] = np.array([3.0])
    (value,) = session.run(None, rows)
    assert 429 < value[0] < 430  # as in predict.json beside the study, of an earlier version


def test_the_note_is_the_document_that_json_prints(studies):
    done = exported("table/table", "--check", "table/rows.csv", "--json")
    assert json.loads(done.stdout) == json.loads(Path("model.onnx.json").read_text(encoding="utf-8"))


def test_the_report_tells_the_files_of_the_delivered_model_and_no_others(studies):
    assert exported("table/table", "--check", "table/rows.csv").returncode == 0
    kept = Path("table/table/exports.json")
    assert kept.stat().st_mode & 0o077 == 0

    def report():
        assert tame_here("report", "table/table", cache="cache").returncode == 0
        return Path("table/table/report.html").read_text(encoding="utf-8")

    told = "Written as model.onnx (28 kB), which gives the same numbers as tame predict on 5 rows of rows.csv, "
    assert told in report()
    assert "exports.json" in tame_here("verify", "table/table", cache="cache").stdout
    note = json.loads(kept.read_text(encoding="utf-8"))
    other = {**note, "exports": [{**each, "model": "0" * 64} for each in note["exports"]]}
    for text in (json.dumps(other), "{", '{"exports": [{"file": 3}]}'):
        kept.write_text(text, encoding="utf-8")
        assert "model.onnx" not in report()
    again = tame_here("export", "table/table", "--onnx", "b.onnx", "--check", "table/rows.csv", cache="cache")
    assert again.returncode == 0
    assert "b.onnx" in report()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["table/table"], 3, r"visits.csv is not there any more; name data to compare on: --check DATA"),
        (["table/table", "--check", "none.csv"], 2, "no file none.csv"),
        (["table/table/model"], 2, "holds no study with data to compare on; name data to compare on: --check DATA"),
        (["stopped/stopped"], 2, "stopped/stopped is not finished; continue it with: "),
        (["own/own"], 2, "from Python: tame.load('own/own', model=build).export(onnx='model.onnx')"),
        (["nothing"], 2, "the study or model folder nothing does not exist"),
        (["table/table", "--optuna", "x.db"], 2, "give one thing to write: --optuna FILE or --tensorboard FOLDER"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_told_and_no_file_is_written(studies, words, code, said):
    done = exported(*words)
    assert done.returncode == code
    assert said in " ".join(done.stderr.split())
    assert not list(studies.glob("model.onnx*"))


@pytest.mark.parametrize("taken", ["model.onnx", "model.onnx.json"])
def test_a_file_that_exists_stays_as_it_is(studies, taken):
    Path(taken).write_text("mine", encoding="utf-8")
    done = exported("table/table", "--check", "table/rows.csv")
    assert done.returncode == 2
    assert f"{taken} exists; give another file name" in done.stderr
    assert Path(taken).read_text(encoding="utf-8") == "mine"


def test_a_folder_that_exists_is_no_file_and_one_that_does_not_is_not_made(studies):
    for words, said in ((["--onnx", "table"], "table exists"), (["--pt2", "no/m.pt2"], "there is no folder no")):
        done = tame_here("export", "table/table", *words, "--check", "table/rows.csv", cache="cache")
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_the_options_of_the_comparison_go_with_onnx_alone(studies):
    done = tame_here("export", "table/table", "--optuna", "x.db", "--check", "rows.csv", cache="cache")
    assert (done.returncode, "--check and --int8 go with --onnx and --pt2" in done.stderr) == (2, True)


def written(network, folder):
    write_network(network, folder / "model")
    return folder / "model"


def rows_of(table, path, num=50):
    """A CSV file of the first rows of a made table."""
    lines = [",".join(column.name for column in table.columns)]
    for row in range(num):
        cells = []
        for column in table.columns:
            value = table.values[column.name][row]
            if column.categories:
                cells.append("" if value < 0 else column.categories[value])
            elif np.isnan(value):
                cells.append("")
            else:
                day = np.datetime64(0, "s") + np.timedelta64(int(value * 86_400), "s")
                cells.append(str(day).replace("T", " ") if column.kind == "date" else repr(float(value)))
        lines.append(",".join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_file_of_every_kind_of_column_is_compared_as_predict_reads_it(tmp_path):
    table = made_table()
    model = written(made_network(table=table), tmp_path)
    found = export_model(model, tmp_path / "m.onnx", check=rows_of(table, tmp_path / "rows.csv"))
    assert found.parity[0].n == 50
    assert max(each.largest for each in found.parity) < 2e-6
    said = "written as m.onnx (118 kB), which gives the same labels as tame predict on 50 rows of rows.csv, 157 "
    assert of_export(found).startswith(said)


def test_no_file_is_written_where_a_value_would_not_be_finite(tmp_path):
    network, table = made_network(labels=()), made_table()
    network.module.out.bias.data.fill_(float("inf"))
    model = written(network, tmp_path)
    done = tame_here(
        "export", model, "--onnx", tmp_path / "m.onnx", "--check", rows_of(table, tmp_path / "rows.csv"),
        cache=tmp_path / "cache",
    )  # fmt: skip
    assert done.returncode == 7
    assert "no file was written: it would not say the same as tame predict of 50 rows of rows.csv" in done.stderr
    assert not (tmp_path / "m.onnx").exists()


def test_a_category_that_is_no_unicode_is_refused_by_name(tmp_path):
    table = made_table()
    columns = [replace(each, categories=("left", "\udcff")) if each.name == "pair" else each for each in table.columns]
    table = replace(table, columns=tuple(columns))
    with pytest.raises(UsageError, match=r"'\\udcff' cannot be in an ONNX file: it is not Unicode text"):
        graph_of(made_network(table=table), onnx_form("table").write)


def test_kinds_of_data_without_such_a_file_are_told():
    with pytest.raises(UsageError, match="models of passages can be neither ONNX files nor"):
        onnx_form("language-model")


def test_an_empty_table_and_a_disk_that_fails_are_told(tmp_path):
    table = made_table()
    model = written(made_network(table=table), tmp_path)
    rows = rows_of(table, tmp_path / "rows.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text(rows.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(DataError):
        export_model(model, tmp_path / "m.onnx", check=empty)
    with pytest.raises(StorageError, match="cannot be written: File name too long"):
        export_model(model, tmp_path / f"{'x' * 250}.onnx", check=rows)
    assert not list(tmp_path.glob("*.onnx*"))


@pytest.mark.slow
def test_a_module_of_ones_own_is_written_from_python_with_its_validation_examples(studies, monkeypatch):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    study = tame.load("own/own", model=build)
    x = np.load("own/new.npy")
    found = study.export(onnx="own.onnx")
    assert found.parity[0].what == "validation examples"
    session = onnxruntime.InferenceSession("own.onnx")
    said = session.run(None, {"x": x.astype(np.float32)})
    for label, probabilities, each in zip(*said[:2], study.predict(x), strict=True):
        assert (label, probabilities.max()) == (each["label"], pytest.approx(each["probability"], abs=1e-5))
    again = study.export(onnx="again.onnx", check=x)
    assert (again.parity[0].n, again.parity[0].what) == (len(x), "examples given")


@pytest.mark.slow
def test_a_program_of_torch_is_written_behind_the_same_comparison(studies):
    done = tame_here("export", "table/table", "--pt2", "m.pt2", "--check", "table/rows.csv", "--json", cache="cache")
    assert done.returncode == 0, done.stderr
    note = json.loads(done.stdout)
    assert (note["file"], note["runtime"]) == ("m.pt2", f"torch {torch.__version__}")
    assert [each["labels_differ"] for each in note["parity"]] == [0, 0, 0]
    program = torch.export.load("m.pt2")
    rows = {"age": torch.tensor([86.0]).double(), "ward": torch.tensor([0]), "since": torch.tensor([16_400.0]).double()}
    value = program.module()({**rows, "visits": torch.tensor([3.0]).double()})["value"]
    assert value.shape == (1,)
    with zipfile.ZipFile("m.pt2") as archive:
        assert [
            name for name in archive.namelist() if b"\x80\x02" in archive.read(name)
        ] == []  # a pickle's first bytes


@pytest.mark.slow
def test_a_study_is_compared_on_its_own_validation_rows_and_its_card_tells_the_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    numbers, colours = rng.normal(size=(400, 2)), rng.integers(0, 3, 400)
    sums = numbers.sum(axis=1) + colours
    lines = [
        f"{a:.4f},{b:.4f},c{c},{'high' if s > 1 else 'low'}"
        for (a, b), c, s in zip(numbers, colours, sums, strict=True)
    ]
    Path("t.csv").write_text("\n".join(["a,b,colour,label", *lines]) + "\n", encoding="utf-8")
    study = tame.fit("t.csv", target="label", trials=2, epochs=4, out="s", quiet=True)
    first = study.export(onnx="m.onnx")
    assert (first.parity[0].what, first.parity[0].labels_differ, first.int8) == ("validation rows", 0, None)
    done = tame_here("export", "s", "--onnx", "m8.onnx", "--int8", cache="cache")
    assert (done.returncode, done.stdout) == (0, "m8.onnx\n"), done.stderr
    assert "of 320 validation rows have another label" in " ".join(done.stderr.split())
    less = json.loads(Path("m8.onnx.json").read_text(encoding="utf-8"))["int8"]
    assert less["after"] == pytest.approx(less["before"] + less["value"])
    card = Path("s/model/README.md").read_text(encoding="utf-8")
    assert "Written as m.onnx" in card
    assert "with weights in 8 bits" in card
    done = tame_here("verify", "s", cache="cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tame_here("resume", "s", "--quiet", cache="cache").returncode == 0
    assert Path("s/model/README.md").read_text(encoding="utf-8") == card
    refused = tame_here("export", "s", "--onnx", "other.onnx", "--int8", "--check", "t.csv", cache="cache")
    assert refused.returncode == 2
    assert "leave out --check" in " ".join(refused.stderr.split())
    refused = tame_here("export", "s", "--pt2", "other.pt2", "--int8", cache="cache")
    assert (refused.returncode, "--int8 goes with --onnx" in refused.stderr) == (2, True)
    assert not list(tmp_path.glob("other*"))


@pytest.mark.slow
def test_what_was_given_from_python_is_compared_on_what_the_study_kept_of_it(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    study = tame.fit((x, np.where(x.sum(axis=1) > 0, "yes", "no")), trials=1, epochs=1, out="rows", quiet=True)
    assert study.export(onnx="rows.onnx").parity[0].n == 80
    assert study.export(onnx="given.onnx", check=x[:20]).parity[0].what == "rows given"
    levels = rng.integers(0, 120, (40, 24, 30, 3)) + 120 * (np.arange(40) % 2)[:, None, None, None]
    pictures = [Image.fromarray(each.astype(np.uint8)) for each in levels]
    labels = ["dark", "light"] * 20
    study = tame.fit((pictures, labels), trials=1, epochs=1, out="pictures", backbone="none", quiet=True)
    assert study.export(onnx="pictures.onnx").parity[0].what == "validation pictures"
    assert study.export(pt2="pictures.pt2", check=pictures[:3]).parity[0].n == 3
    with pytest.raises(UsageError, match="give one file to write: onnx= or pt2="):
        study.export(check=pictures)
