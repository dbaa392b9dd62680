"""Studies of the drawn insects, for the tests of the pages on data."""

from __future__ import annotations

from tame.app.own_studies import remember
from tame.app.run import resolved
from tame.core.config import StudyConfig
from tame.study.opening import open_data
from tame.study.session import begin
from tame.study.state import Silent


def config_for(root, out, **changes):
    given = {"trials": 1, "epochs": 2, "folds": 2, "widen": False, "backbone": "none", "set": {"input.size": 32}}
    return StudyConfig(data=str(root), out=str(out), **{**given, **changes})


def sealed_study(root, out, *, cache):
    """The folder of a study of this user whose data was read and split, and whose test part is sealed."""
    config = resolved(config_for(root, out))
    with begin(config, Silent()) as study:
        remember(study.state.opened, {}, Silent())
        study.hire(cache=cache, inline=True)
        open_data(study)
    return out
