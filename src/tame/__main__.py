"""`python -m tame`: the command line."""

from tame.app.cli import main

if __name__ == "__main__":
    main()
