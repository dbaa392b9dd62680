"""The modules of others are what their packages have, under licences that are named."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from importlib.resources import files

import pytest

VENDOR = files("tame.pages").joinpath("vendor")
STATIC = files("tame.pages").joinpath("static")
FILES = json.loads(VENDOR.joinpath("VENDOR.json").read_text())["files"]
OURS = sorted(each.name for each in STATIC.iterdir() if each.name.endswith(".js"))


def sha(content):
    return hashlib.sha256(content).hexdigest()


def test_every_file_is_named_and_nothing_else_is_there():
    named = {each["file"] for each in FILES}
    assert {each.name for each in VENDOR.iterdir()} - {"VENDOR.json", "LICENSES.txt", "__init__.py"} == named
    assert {each["licence"] for each in FILES} <= {"MIT", "Apache-2.0"}
    text = VENDOR.joinpath("LICENSES.txt").read_text()
    assert all(f"=== {each['package']}-{each['version']} ===" in text for each in FILES)


@pytest.mark.parametrize("each", FILES, ids=lambda each: each["file"])
def test_a_file_is_that_of_its_package_but_for_what_is_said(each):
    here = VENDOR.joinpath(each["file"]).read_bytes()
    assert sha(here) == each["sha256_here"]
    change, package = each["change"], here
    if change is not None:
        said, instead = change["from"].encode(), change["to"].encode()
        assert here.count(instead) == 1
        package = here.replace(instead, said)
    assert sha(package) == each["sha256"]


@pytest.mark.parametrize("name", [*OURS, *(each["file"] for each in FILES if each["file"].endswith(".js"))])
def test_a_module_imports_only_files_that_are_served(name):
    folder = STATIC if name in OURS else VENDOR
    text = folder.joinpath(name).read_text()
    known = {each["file"] for each in FILES} | set(OURS)
    for found in re.findall(r"""(?:from|import)\s*["']([^"']+)["']""", text):
        assert found.removeprefix("./") in known
    assert not re.search(r"\beval\(|new Function\(", text)
    assert name not in OURS or text.startswith("// @ts-check\n")


@pytest.mark.parametrize("name", OURS)
def test_our_modules_can_be_read(name, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    own = tmp_path / f"{name}.mjs"
    own.write_bytes(STATIC.joinpath(name).read_bytes())
    done = subprocess.run([node, "--check", own], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
