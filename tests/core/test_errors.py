"""Errors: which of them a loop over studies may go on after, and their exit codes."""

from __future__ import annotations

import pytest

import tame
from tame.app.cli import main
from tame.core import errors
from tame.core.errors import StoppedError, TameError


def test_a_stop_ends_a_loop_as_ctrl_c_does():
    done = []

    def loop():
        for number in range(3):
            try:
                done.append(number)
                raise StoppedError("stopped; everything is kept")
            except Exception:
                continue

    with pytest.raises(KeyboardInterrupt, match="everything is kept"):
        loop()
    assert done == [0]
    assert tame.StoppedError is StoppedError
    assert (StoppedError("").exit_code, StoppedError("", signal_number=15).exit_code) == (130, 143)


def test_all_other_errors_are_of_one_tree():
    own = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BaseException)]
    assert StoppedError in own
    assert all(issubclass(each, TameError) for each in own if each is not StoppedError)


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (StoppedError("stopped; everything is kept"), 130, "stopped; everything is kept\n"),
        (StoppedError("stopped at once", signal_number=15), 143, "stopped at once\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_stopped_command_ends_with_its_words_and_exit_code(problem, code, said, monkeypatch, capsys):
    def stops(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr("tame.app.run.fit_study", stops)
    monkeypatch.setattr("sys.argv", ["tame", "fit", "nothing.csv"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert capsys.readouterr().err.endswith(said)
