"""Writes docs/learn.md from the lessons: what each is about, what one does in it, what is checked, and its text."""

from __future__ import annotations

from pathlib import Path

from tame.learn.lesson import lessons, table

PAGE = Path(__file__).parent / "learn.md"
HEAD = """# Learn

`tame learn` teaches how training works on your own run: it lists the lessons, `tame learn descent` shows one with the
numbers of your newest study, `tame learn descent --test` asks questions about it, and `tame learn --cards` shows words
that are due. In the browser (`tame ui`, then *Learn*) each lesson has something to try on your own examples. Without a
study, or with one that a lesson cannot be about, a drawn table of insects stands in, and the page says so.

Every number is computed from a study, and so is the key of every question, each time an answer is judged. Lessons
change nothing in a study. What you answered is kept in one small file on your machine; `tame learn --forget` deletes
it. The texts below are those of the lessons; `make docs` writes this page from them, and a test compares the two.

## What is taught, done and checked
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, table(), ""]
    for own in lessons():
        text = own.text.replace("\n## ", "\n### ")
        parts.append(f"## Lesson {own.number}: {own.title}\n\n*{own.about}*\n\n{text}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
