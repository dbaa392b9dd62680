"""Builds the documentation as a site, offline: the pages of the repository, and those that the sources say.

All pages are copied into one folder in which they lie as in the repository, so that a link that leads from one to
another works in both places. A warning of Sphinx is an error.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import make_findings
import make_learn
import make_notebook
import make_pages
import make_parts

HERE = Path(__file__).parent
ROOT = HERE.parent
SITE = HERE / "_site"
# Each section: its page (made here if it has a text), and the pages below it. What docs/ holds beyond these, such as
# the page of a new feature, goes to the how-to.
GUIDE = (
    "docs/guide", "docs/install", "docs/training", "docs/several-workers", "docs/objectives", "docs/search",
    "docs/pages", "docs/learn",
)  # fmt: skip
HOW_TO = (
    "docs/pictures", "docs/tables", "docs/texts", "docs/language", "docs/own-module", "examples/sequences/README",
    "docs/storage",
)  # fmt: skip
REFERENCE = ("reference", "command-line", "docs/findings", "docs/parts")
PROJECT = ("CONTRIBUTING", "SECURITY", "CHANGELOG", "docs/dependencies", "docs/platforms", "benchmarks/README")
SECTIONS = {
    "how-to": ("How-to", "What you have decides where to start.", HOW_TO),
    "api": ("Reference", "Everything by name; these pages are made from the sources.", REFERENCE),
    "project": ("Project", "How TAME is made, and what it rests on.", PROJECT),
}
OUTSIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE")
MADE = {
    "reference.md": make_pages.reference_page,
    "command-line.md": make_pages.commands_page,
}


def stage(folder: Path) -> None:
    """Writes the sources of the site into a folder: copies of the repository's pages, and the made ones."""
    for path in [*(ROOT / name for name in OUTSIDE), *HERE.glob("*.md"), *HERE.glob("*.png"), HERE / "site.css",
                 *(ROOT / "benchmarks").glob("*.md")]:  # fmt: skip
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name, make in MADE.items():
        (folder / name).write_text(make(), encoding="utf-8")
    listed = {*GUIDE, *HOW_TO, *REFERENCE, *PROJECT}
    more = sorted(f"docs/{path.stem}" for path in HERE.glob("*.md") if f"docs/{path.stem}" not in listed)
    for name, (title, about, pages) in SECTIONS.items():
        own = (*pages, *more) if name == "how-to" else pages
        (folder / f"{name}.md").write_text(f"# {title}\n\n{about}\n\n{_contents(own, deep=1)}", encoding="utf-8")
    home = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "index.md").write_text(f"{home}\n{_contents((*GUIDE[:1], *SECTIONS), deep=None)}", encoding="utf-8")
    (folder / "README.md").unlink()
    guide = folder / "docs" / "guide.md"
    guide.write_text(f"{guide.read_text(encoding='utf-8')}\n{_contents(GUIDE[1:], deep=None)}", encoding="utf-8")
    for page in folder.rglob("*.md"):  # the README is the first page of the site
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"\]\(((?:\.\./)*)README\.md", r"](\1index.md", text), encoding="utf-8")


def _contents(pages: tuple[str, ...], *, deep: int | None) -> str:
    """The pages below a page, as a list that is shown so deep; None: only beside the text."""
    shown = ":hidden:" if deep is None else f":maxdepth: {deep}"
    return "\n".join([":::{toctree}", shown, "", *(f"/{page}" for page in pages), ":::", ""])


def build(site: Path, work: Path) -> None:
    """Builds the site. Raises CalledProcessError for a warning, such as a link that leads nowhere."""
    source = work / "source"
    shutil.rmtree(source, ignore_errors=True)
    stage(source)
    own = ["-c", str(HERE), "-d", str(work / "doctrees"), "-b", "html", "-q", "-W", "--keep-going"]
    subprocess.run([sys.executable, "-m", "sphinx", *own, str(source), str(site)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, default=SITE, help="folder for the site")
    parser.add_argument("--work", type=Path, default=HERE / "_work", help="folder for what is made on the way")
    given = parser.parse_args()
    make_parts.PAGE.write_text(make_parts.page(), encoding="utf-8")
    make_findings.PAGE.write_text(make_findings.page(), encoding="utf-8")
    make_learn.PAGE.write_text(make_learn.page(), encoding="utf-8")
    make_notebook.PAGE.write_text(make_notebook.page(), encoding="utf-8")
    try:
        build(given.site, given.work)
    except subprocess.CalledProcessError:
        sys.exit("the site was not built: every warning above is an error")
    print(given.site / "index.html")


if __name__ == "__main__":
    main()
