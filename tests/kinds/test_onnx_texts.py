"""A model of texts as an ONNX file says what `tame predict` says, given terms and tokens by the rules that it tells."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("tokenizers", reason="the extra text is not installed")

from made_rows import together  # noqa: E402
from made_text_models import ENCODED, SAID, TABLE, TFIDF, WORDS, made_network, made_table  # noqa: E402
from made_texts import made_encoder  # noqa: E402
from tame.app.model_files import onnx_runner, parity  # noqa: E402
from tame.data.sources import table_of_texts  # noqa: E402
from tame.data.tables import MISSING  # noqa: E402
from tame.kinds.onnx import METADATA  # noqa: E402
from tame.kinds.tables.onnx_table import asked, extremes, write  # noqa: E402
from tame.kinds.tables.onnx_texts import TOKENIZER, text_inputs  # noqa: E402
from tame.kinds.tables.prediction import restored, seen_of  # noqa: E402
from tame.parts.encoders import open_encoder  # noqa: E402
from tame.parts.familiar import familiar  # noqa: E402
from tame.parts.onnx_nodes import graph_of  # noqa: E402
from tame.parts.torch_programs import program_file, program_runner  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return open_encoder(str(made_encoder(tmp_path_factory.mktemp("encoder"))))


def compared(network, table=TABLE):
    model = graph_of(network, write)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    rows = asked(network, table, what="rows")
    every = (rows, *extremes(network, rows))
    assert max(parity(onnx_runner(content), network, each).largest for each in every) < 5e-6
    assert max(parity(onnx_runner(content), network, each).distance for each in every) < 1e-4
    return model


@pytest.mark.parametrize("labels", [("no", "yes"), ()], ids=len)
@pytest.mark.parametrize("changes", [WORDS, TFIDF, ENCODED], ids=str)
def test_texts_enter_by_their_words_or_an_encoder_as_in_tame(changes, labels, encoder):
    compared(made_network(changes, labels, encoder=encoder))


def test_several_networks_judge_texts_as_one(encoder):
    longer = {**ENCODED, "input.length": 20, "seed": 5}
    one = made_network(ENCODED, encoder=encoder)
    members = [made_network(each, encoder=encoder) for each in (longer, WORDS, TFIDF, {**WORDS, "seed": 3})]
    model = compared(together(one, *members, temperature=1.4))
    names = [each.name for each in model.graph.input]
    assert names == [
        "stars", "review terms", "review counts", "review tokens 8", "review mask 8", "review tokens 20",
        "review mask 20", "review length", "note terms", "note counts", "note tokens 8", "note mask 8",
        "note tokens 20", "note mask 20", "note length",
    ]  # fmt: skip


def test_members_that_know_other_terms_each_count_their_own():
    other = replace(
        made_table(), texts={"review": tuple(f"quite other words {i % 3}" for i in range(20)), "note": SAID}
    )
    compared(together(made_network(WORDS), made_network(WORDS, table=other), made_network(TFIDF, table=other)))


def test_the_distance_from_the_training_texts_is_said_too(encoder):
    for changes in (TFIDF, ENCODED):
        network = made_network(changes, encoder=encoder)
        known = familiar(seen_of(network, TABLE, np.arange(TABLE.num_rows)))
        compared(replace(network, familiar=known))


@pytest.mark.parametrize("changes", [WORDS, TFIDF, ENCODED], ids=str)
def test_texts_in_files_are_a_table_of_one_column(changes, encoder):
    table = table_of_texts([f"{SAID[place % 4]} number {place}" for place in range(30)])
    model = compared(made_network(changes, table=table, encoder=encoder, kind="texts"), table)
    metadata = {each.key: each.value for each in model.metadata_props}
    about = json.loads(metadata[METADATA])
    assert {each["column"] for each in about["inputs"]} == {"text"}
    assert (TOKENIZER in metadata) == (changes is ENCODED)


def test_a_term_that_is_no_unicode_text_does_no_harm():
    table = replace(TABLE, texts={"review": tuple(f"odd\udcff words {i}" for i in range(20)), "note": SAID})
    compared(made_network(WORDS, table=table), table)


# The rules that the file tells, as the example follows them


@pytest.fixture(scope="module")
def example(encoder, tmp_path_factory):
    """The functions of the example, for a file of a model that counts terms and reads tokens."""
    file = tmp_path_factory.mktemp("example") / "m.onnx"
    network = together(made_network(ENCODED, encoder=encoder), made_network(WORDS))
    file.write_bytes(graph_of(network, write).SerializeToString())
    text = (Path(__file__).parents[2] / "examples" / "predict_onnx_texts.py").read_text(encoding="utf-8")
    own, _ = text_inputs([restored(each) for each in network.members], ["stars"])
    found = {"input": own}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["predict_onnx_texts.py", str(file)])
        exec(compile(text[: text.index("\nif sys.argv[2]")], "example", "exec"), found)
    return found


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60), more=st.sampled_from(SAID))
def test_any_text_has_the_terms_and_tokens_that_the_rules_give(example, encoder, text, more):
    cells = [f"{more} {text}", "", f"{text}{more}"]
    table = table_of_texts([cells[0], cells[2]])
    own = example["input"]
    codes = np.array([table.values["text"][0], MISSING, table.values["text"][1]])
    wanted = own.feeds(table.texts["text"], codes, encoder)
    for each in own.described():
        found = example["given"](each, cells)
        if each["kind"] in ("terms", "counts"):  # in any order
            found, other = np.sort(found, axis=1), np.sort(wanted[each["name"]], axis=1)
            np.testing.assert_array_equal(found, other)
        else:
            np.testing.assert_array_equal(found, wanted[each["name"]])


@pytest.mark.slow
def test_a_program_of_texts_says_the_same(encoder):
    network = together(made_network(ENCODED, encoder=encoder), made_network(WORDS), made_network(TFIDF))
    rows = asked(network, TABLE, what="rows")
    run = program_runner(program_file(network, write, rows.feeds[0]))
    for each in (rows, *extremes(network, rows)):
        assert parity(run, network, each).largest < 1e-5
