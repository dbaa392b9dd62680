"""A process that takes up what was edited in the browser for a study on which no process works."""

from __future__ import annotations

import sys
from pathlib import Path

from tame.app.own_key import own_key
from tame.app.own_stores import store_of
from tame.core.errors import TameError
from tame.study.heed import heed_edits
from tame.study.session import reopen
from tame.study.state import Silent


def main() -> None:
    """The study is the only argument; on stderr why it cannot be done."""
    folder, key = Path(sys.argv[1]), own_key(Silent())
    try:
        if key is not None:
            with reopen(folder, Silent(), store=store_of(folder, None)) as study:
                heed_edits(study, key)
    except TameError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
