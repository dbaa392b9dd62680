"""The demo: what it says was planted and found is so, and the network beside it is judged on the same pictures."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from command_line import tame_here
from made_results import made, printed
from tame.app.demo import LETTER_FAULTS, Demo, Planted, faults_in_letters, faults_in_pictures, faults_in_table
from tame.app.drawing.letters import COLUMNS as LETTER_COLUMNS
from tame.app.drawing.letters import LEAK as REPLY
from tame.app.drawing.letters import LETTER, write_letters
from tame.app.drawing.letters import TARGET as TOPIC
from tame.app.drawing.picture_set import Drawn, Faults, draw
from tame.app.drawing.table import COLUMNS, IDENTIFIER, LEAK, TARGET, TableFaults, draw_table
from tame.app.from_scratch import FromScratch, from_scratch
from tame.app.preview import check_data
from tame.app.run import fit_study
from tame.app.ui import how_to_watch
from tame.app.verify import verify
from tame.core.config import StudyConfig
from tame.core.errors import UsageError
from tame.core.records import Score
from tame.core.result import Result
from tame.report.next_steps import document
from tame.study.session import Study
from tame.study.state import Silent, read_state

ARCHITECTURE = "tf_efficientnet_lite0"
TABLE_FAULTS = TableFaults(copies=24, conflicts=6, unlabelled=12, infinite=4)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    faults = Faults(mislabelled=3, near_duplicates=4, copies=3, unreadable=3)
    return draw(tmp_path_factory.mktemp("demo") / "pictures", seed=5, counts=24, faults=faults)


@dataclass(frozen=True)
class Done:
    """A study of the backbone that comes with TAME, on pictures of 64 pixels, and the same network from scratch.

    beside: with time for two epochs; hurried: with none.
    """

    result: Result
    beside: FromScratch | None
    hurried: FromScratch | None


@pytest.fixture(scope="module")
def done(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("study") / "demo"
    config = StudyConfig(
        data=str(drawn.folder), backbone="lite0", trials=1, epochs=2, out=str(folder), set={"input.size": 64}
    )
    found = list[FromScratch | None]()

    def compare(study: Study, result: Result) -> None:
        found.append(from_scratch(study, result, seconds=600, most=2))
        found.append(from_scratch(study, result, seconds=0))

    result = fit_study(config, Silent(), afterwards=compare)
    return Done(result, *found)


@pytest.fixture(scope="module")
def finished(done: Done) -> Result:
    return done.result


def test_what_is_said_of_the_pictures_is_what_the_study_found(drawn: Drawn, finished: Result) -> None:
    _, state = read_state(Path(finished.study))
    unread, copies, near, wrong = faults_in_pictures(drawn, state, finished)
    assert (unread.planted, unread.found) == (3, 3)
    assert (copies.planted, copies.found) == (3, 3)
    assert near.planted == 4
    assert 2 <= near.found <= 4
    assert wrong.planted == 3
    assert 0 <= wrong.found <= 3
    blind = replace(drawn, unreadable=drawn.mislabelled, copies=((drawn.mislabelled[0], drawn.unreadable[0]),))
    assert [each.found for each in faults_in_pictures(blind, state, finished)[:2]] == [0, 0]


def test_the_network_from_scratch_is_judged_on_the_sealed_part(done: Done) -> None:
    beside, finished = done.beside, done.result
    assert beside is not None
    assert (beside.network, beside.epochs) == (ARCHITECTURE, 2)
    assert beside.score.n == finished.score.n
    assert 0 <= beside.score.low <= beside.score.value <= beside.score.high <= 1


def test_without_time_for_an_epoch_nothing_is_trained_from_scratch(done: Done) -> None:
    assert done.hurried is None


def test_the_comparison_leaves_nothing_in_the_study(done: Done) -> None:
    folder = Path(done.result.study)
    assert list((folder / "checkpoints").iterdir()) == []
    assert not verify(folder).problems


def test_the_same_seed_draws_the_same_table(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_table(tmp_path / name, seed=seed, rows=200, faults=TABLE_FAULTS)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_the_table_holds_the_faults_that_were_asked_for(tmp_path: Path) -> None:
    draw_table(tmp_path / "table.csv", seed=3, rows=300, faults=TABLE_FAULTS)
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300
    assert list(rows[0]) == list(COLUMNS)
    assert sum(not row[TARGET] for row in rows) == TABLE_FAULTS.unlabelled
    assert sum(row["mass_mg"] == "inf" for row in rows) == TABLE_FAULTS.infinite
    twice = [tag for tag, count in Counter(row[IDENTIFIER] for row in rows).items() if count == 2]
    assert len(twice) == TABLE_FAULTS.copies + TABLE_FAULTS.conflicts
    torn = [tag for tag in twice if len({row[TARGET] for row in rows if row[IDENTIFIER] == tag}) == 2]
    assert len(torn) == TABLE_FAULTS.conflicts


def test_a_table_with_more_faults_than_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="need 76 rows, got 50"):
        draw_table(tmp_path / "table.csv", seed=0, rows=50, faults=TABLE_FAULTS)
    with pytest.raises(UsageError, match="-1 copies"):
        TableFaults(copies=-1)


def test_every_fault_of_the_table_is_found_and_none_where_none_was_planted(tmp_path: Path) -> None:
    draw_table(tmp_path / "table.csv", seed=4, rows=900, faults=TABLE_FAULTS)
    plain = StudyConfig(data=str(tmp_path / "table.csv"), target=TARGET)
    seen = [check_data(each).findings for each in (plain, replace(plain, columns={LEAK: "ignore"}))]
    found = faults_in_table([*seen[0], *seen[1]])
    assert [(each.fault, each.found) for each in found] == [(each.fault, each.planted) for each in found]
    assert sum(each.found for each in faults_in_table([])) == 0


def test_the_letters_hold_the_faults_that_were_asked_for(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_letters(tmp_path / name, seed=seed, rows=300, faults=LETTER_FAULTS)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
    with (tmp_path / "a").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300
    assert list(rows[0]) == list(LETTER_COLUMNS)
    assert sum(not row[TOPIC] for row in rows) == LETTER_FAULTS.unlabelled
    assert sum(not row[LETTER] for row in rows) == LETTER_FAULTS.empty
    again = [own for own in by_number(rows).values() if len(own) == 2]
    torn = [own for own in again if own[0][TOPIC] != own[1][TOPIC]]
    near = [own for own in again if own[0][LETTER] != own[1][LETTER]]
    assert (len(torn), len(near)) == (LETTER_FAULTS.conflicts, LETTER_FAULTS.near)
    assert len(again) == LETTER_FAULTS.copies + LETTER_FAULTS.near + LETTER_FAULTS.conflicts
    with pytest.raises(UsageError, match="need 112 rows, got 50"):
        write_letters(tmp_path / "d", seed=0, rows=50, faults=LETTER_FAULTS)


def by_number(rows: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Letters by their number, which copies share."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault(row["number"], []).append(row)
    return found


@pytest.mark.parametrize("seed", [0, 7])
def test_every_fault_of_the_letters_is_found_and_none_where_none_was_planted(tmp_path: Path, seed: int) -> None:
    write_letters(tmp_path / "letters.csv", seed=seed, rows=900, faults=LETTER_FAULTS)
    plain = StudyConfig(data=str(tmp_path / "letters.csv"), target=TOPIC)
    seen = [check_data(each) for each in (plain, replace(plain, columns={REPLY: "ignore"}, text=LETTER))]
    empty = {each.name: each.missing for each in seen[1].facts.columns or ()}[LETTER]
    found = faults_in_letters([*seen[0].findings, *seen[1].findings], empty=empty)
    assert [(each.fault, each.found) for each in found] == [(each.fault, each.planted) for each in found]
    assert sum(each.found for each in faults_in_letters([], empty=0)) == 0


SCRATCH = FromScratch(network="net", size=64, epochs=3, wall_s=9.4, score=Score(0.41, 0.35, 0.47, 252, "so"))
FAULTS = (Planted("pictures in the wrong folder", 12, 9, "2 of 4 named as copies under two labels, 7 as suspects"),)


def test_the_story_is_told_in_80_columns_and_says_what_matters() -> None:
    result, _ = made("two_classes")
    text = printed(Demo(result, FAULTS, SCRATCH).lines())
    assert all(len(line) <= 80 for line in text.splitlines())
    said = " ".join(text.split())
    for needed in (
        "9 of 12 found", "weights: accuracy 0.410 (0.350 to 0.470), one recipe for 3 epochs at 64 pixels in 9 s",
        f"the best of {result.trials} recipes in", f"{result.winner.epochs} epochs at", "--backbone none --time",
    ):  # fmt: skip
        assert needed in said
    assert result.report in said
    assert f"tame watch {result.study}" in text.replace("\n", "")


@pytest.mark.parametrize(("missing", "words"), [((), "browser: tame watch"), (("starlette",), "pip install")])
def test_the_last_line_says_how_to_look_at_the_study_in_the_browser(monkeypatch, tmp_path, missing, words) -> None:
    there = lambda name: None if name in missing else name  # noqa: E731
    monkeypatch.setattr("tame.app.ui.importlib.util.find_spec", there)
    monkeypatch.chdir(tmp_path)
    said = how_to_watch(tmp_path / "runs" / "my study")
    assert words in said
    assert said.endswith("tame watch 'runs/my study'")


def test_the_story_as_json_is_the_result_and_what_the_demo_adds() -> None:
    result, _ = made("two_classes")
    plain = json.loads(json.dumps(Demo(result, FAULTS, SCRATCH).to_json(), allow_nan=False))
    about = plain.pop("demo")
    assert plain == json.loads(json.dumps(document(result)))
    assert len(plain["next"]) > 0
    assert about["faults"][0]["found"] == 9
    assert about["from_scratch"]["score"]["value"] == 0.41
    assert Demo(result, ()).to_json()["demo"] == {"faults": [], "from_scratch": None}


def test_a_table_has_no_pictures(tmp_path: Path) -> None:
    said = tame_here("demo", "--table", "--pictures", "x", cache=tmp_path / "cache", cwd=tmp_path)
    assert said.returncode == 2
    assert "--pictures is not for --table; leave it out" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_the_demo_has_not_drawn_are_left_alone(tmp_path: Path) -> None:
    draw(tmp_path / "mine", seed=1, counts=2)
    said = tame_here("demo", "--pictures", "mine", cache=tmp_path / "cache", cwd=tmp_path)
    assert said.returncode == 2
    assert "does not hold the pictures of seed 0" in said.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
