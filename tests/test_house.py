"""The house rules that a machine can check: which room may import which, what starts light, what no file may hold."""

from __future__ import annotations

import ast
import functools
import importlib.util
import math
import re
import subprocess
import sys
import time
import tokenize
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tame.app.cli
from floors import PROJECT as PROJECT_FILE
from floors import floors
from tame.core import errors

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tame"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
START_S = 10.0  # generous: design.md aims at 0.5 s, and the benchmarks measure it; here it must only not be absurd

# What is too heavy for `tame --help`, and what `import tame` must not load either.
HEAVY = (
    "torch", "torchvision", "timm", "sklearn", "scipy", "sqlalchemy", "PIL", "huggingface_hub", "optuna", "pyarrow",
    "pandas", "polars",
)  # fmt: skip
REPORT_MODULES = "import sys; print(*sorted(sys.modules), file=sys.stderr)"
HELP = f"""
import sys
sys.argv = ["tame", "--help"]
from tame.app.cli import main
try:
    main()
finally:
    {REPORT_MODULES}
"""


def loaded_by(code: str) -> tuple[str, set[str]]:
    """What this code prints, and the top-level modules that are loaded after it, in a fresh process."""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, {name.split(".")[0] for name in done.stderr.split()}


def source_files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@functools.cache
def trees() -> dict[str, ast.Module]:
    """All sources by their paths, parsed."""
    paths = source_files()
    return {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def faults(found: Mapping[str, Collection[str]]) -> dict[str, Collection[str]]:
    """What was found, where anything was."""
    return {name: own for name, own in found.items() if own}


def files_of_git() -> list[Path]:
    """Every file that git tracks, or would with `git add .`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout, to know which files belong to the project")
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def tracked_files() -> list[Path]:
    """Those of them that hold text."""
    return [path for path in files_of_git() if b"\0" not in path.read_bytes()[:8192]]


# Imports


def test_the_import_contract_is_kept(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    path = list(sys.path)
    try:
        assert lint_imports(no_cache=True, no_logo=True) == 0, capsys.readouterr().out
    finally:
        sys.path[:] = path


def test_the_contract_names_every_room():
    layers = next(c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")["layers"]
    named = {name.strip() for layer in layers for name in layer.split("|")}
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")} | {path.stem for path in SOURCE.glob("*.py")}
    assert {f"tame.{room}" for room in rooms - {"__init__"}} == named


def test_what_people_see_loads_nothing_heavy(tmp_path):
    """Under TYPE_CHECKING and by import_module too, whatever the contract sees: a report is drawn, a study shown."""
    archive = ROOT / "tests" / "data" / "old_studies" / "table.zip"
    code = f"""
import sys, zipfile
zipfile.ZipFile({str(archive)!r}).extractall({str(tmp_path)!r})
sys.argv = ["tame", "WORD", {str(tmp_path / "table")!r}]
from tame.app.cli import main
try:
    main()
finally:
    {REPORT_MODULES}
"""
    for word in ("show", "report"):
        said, loaded = loaded_by(code.replace("WORD", word))
        assert said
        assert loaded & {"torch", "torchvision", "timm", "optuna"} == set()


UP_OR_HIDDEN = "imports {}, which lies above it"


def climbs(tree: ast.AST, room: str, floors: Mapping[str, int]) -> list[str]:
    """Imports of rooms that lie above this one, also under TYPE_CHECKING and by import_module."""
    named = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            named.append(ast.unparse(node.args[0]).strip("'\""))
    rooms = [name.split(".")[1] for name in named if name.startswith("tame.")]
    return [UP_OR_HIDDEN.format(each) for each in rooms if floors.get(each, 0) > floors[room]]


def floors_of_rooms() -> dict[str, int]:
    """Higher numbers for higher floors."""
    layers = next(c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")["layers"]
    return {
        name.strip().removeprefix("tame."): -floor for floor, layer in enumerate(layers) for name in layer.split("|")
    }


def test_no_import_climbs_not_even_one_for_types_or_by_name():
    floors = floors_of_rooms()
    rooms = {name: name.partition("/")[0].removesuffix(".py") for name in trees()}
    found = {name: climbs(tree, rooms[name], floors) for name, tree in trees().items() if rooms[name] in floors}
    assert faults(found) == {}


@pytest.mark.parametrize(
    "code", ["if TYPE_CHECKING:\n from tame.app.run import x", "import_module('tame.app.run')", "import tame.app.run"]
)
def test_the_check_of_climbing_imports_finds_a_planted_one(code):
    assert climbs(ast.parse(code), "core", floors_of_rooms()) == [UP_OR_HIDDEN.format("app")]


def test_packages_below_the_top_have_an_empty_init():
    below = [path for path in SOURCE.rglob("__init__.py") if path.parent != SOURCE]
    assert len(below) >= 8
    assert [str(path) for path in below if path.read_text(encoding="utf-8").strip()] == []


def test_help_comes_soon_and_loads_nothing_heavy():
    begun = time.monotonic()
    said, loaded = loaded_by(HELP)
    took = time.monotonic() - begun
    assert "fit" in said
    assert loaded & set(HEAVY) == set()
    assert took < START_S, f"tame --help took {took:.1f} s"


def test_import_tame_does_no_work():
    _, loaded = loaded_by(f"import tame; {REPORT_MODULES}")
    assert "tame" in loaded
    assert loaded & {*HEAVY, "numpy", "typer", "rich", "jinja2"} == set()


# What no source may do


def findings(tree: ast.AST) -> Iterator[str]:
    """What this code does that TAME must not: run strings, unpickle, go through a shell, open connections."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            names = []
        yield from (f"imports {name}" for name in names if name in BANNED_MODULES or name in BANNED_CALLS)
        if not isinstance(node, ast.Call):
            continue
        owner, dot, rest = ast.unparse(node.func).partition(".")
        called = f"{aliases.get(owner, owner)}{dot}{rest}"
        if called in BANNED_CALLS:
            yield f"calls {called}"
        if called.endswith("import_module") and node.args and isinstance(node.args[0], ast.Constant):
            yield from (f"imports {name}" for name in [str(node.args[0].value)] if name in BANNED_MODULES)
        for keyword in node.keywords:
            switched_on = not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
            if keyword.arg in ("shell", "allow_pickle") and switched_on:
                yield f"passes {keyword.arg}"


PICKLES = ("pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve")
NETWORK = (
    "socket",
    "ssl",
    "http.client",
    "http.server",
    "urllib.request",
    "requests",
    "httpx",
    "ftplib",
    "smtplib",
    "urllib3",
    "aiohttp",
)
BANNED_MODULES = {*PICKLES, *NETWORK, "yaml", "torch.hub"}
BANNED_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "yaml.load", "pickle.loads",
    "torch.jit.load", "torch.hub.load",
}  # fmt: skip


# The one place that may use a network, for weights that the user names, looks first whether there is one. It is also
# the one that may read torch's format: the file of an embedded network, proved by a pinned hash, and tensors alone.
# The server of the pages listens on this machine's own address.
ALLOWED = {
    ("backbones.py", "imports socket"), ("backbones.py", "calls torch.load"), ("serve.py", "imports socket"),
    ("ray_cluster.py", "imports socket"),  # the address that the user names
}  # fmt: skip


def test_no_source_unpickles_runs_strings_or_opens_connections():
    found = {
        name: [each for each in findings(tree) if (Path(name).name, each) not in ALLOWED]
        for name, tree in trees().items()
    }
    assert faults(found) == {}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import pickle", "imports pickle"),
        ("from urllib import request", "imports urllib.request"),
        ("import torch; torch.load('x')", "calls torch.load"),
        ("subprocess.run(x, shell=True)", "passes shell"),
        ("np.load(x, allow_pickle=wanted)", "passes allow_pickle"),
        ("eval(text)", "calls eval"),
        ("from os import system", "imports os.system"),
        ("from torch import load", "imports torch.load"),
        ("import torch as t; t.load('x')", "calls torch.load"),
        ("import_module('pickle')", "imports pickle"),
        ("import aiohttp", "imports aiohttp"),
    ],
)
def test_the_check_of_the_sources_finds_a_planted_fault(code, found):
    assert list(findings(ast.parse(code))) == [found]


@pytest.mark.parametrize("code", ["module.eval()", "np.load(x, allow_pickle=False)", "from urllib.parse import quote"])
def test_the_check_of_the_sources_leaves_sound_code_alone(code):
    assert list(findings(ast.parse(code))) == []


def test_no_source_imports_what_only_tests_need():
    """Frames are read through what the caller has loaded, so that neither pandas nor polars is a dependency."""
    assert faults({name: imported_by(tree) & {"pandas", "polars"} for name, tree in trees().items()}) == {}


WRITERS = {  # what writes a file that it is given the path of
    "write_text", "write_bytes", "save_file", "savez", "savez_compressed", "savetxt", "tofile", "copyfile", "copy",
    "copy2", "copytree", "move", "mkstemp", "NamedTemporaryFile", "to_csv", "to_parquet", "symlink_to", "hardlink_to",
}  # fmt: skip
MODULES = {"shutil", "tempfile", "np", "numpy"}  # whose functions of these names are meant; others are methods
HANDLES = re.compile(r"(save|savez|ZipFile)\((file|opened|buffer|sent)")  # written into something that is open already


def writes(tree: ast.AST) -> Iterator[str]:
    """Calls that open a file for writing."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        owned = isinstance(node.func, ast.Attribute)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        text = ast.unparse(node)
        if name == "open" and owner == "os":
            found = bool(re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)", text))
        elif name == "fdopen":  # of a pipe or a terminal that is open already, it is the same stream
            modes = [mode for mode in node.args[1:] if "os.dup(" not in ast.unparse(node.args[0])]
            found = any(isinstance(mode, ast.Constant) and is_writing(mode.value) for mode in modes)
        elif name == "ZipFile":
            found = len(node.args) > 1 and isinstance(node.args[1], ast.Constant) and is_writing(node.args[1].value)
            found = found and not HANDLES.search(text)
        elif name == "open" and owner == "archive":
            found = False  # a part of an archive that is open already
        elif name == "open":
            modes = [*node.args[0 if owned and owner != "io" else 1 :], *(each.value for each in node.keywords)]
            found = any(isinstance(mode, ast.Constant) and is_writing(mode.value) for mode in modes)
        elif name in ("copy", "move"):
            found = owner in MODULES
        elif name in ("save", "savez"):
            found = owner in ("np", "numpy", "torch") and not HANDLES.search(text)
        else:
            found = name in WRITERS and (owned or name == "save_file")
        if found:
            yield text


def is_writing(mode: object) -> bool:
    return isinstance(mode, str) and bool(re.fullmatch(r"[rwaxbt+]{1,3}", mode) and set(mode) & set("wax+"))


def test_no_source_opens_a_file_for_writing_but_the_one_that_does_it_for_all():
    found = {name: list(writes(tree)) for name, tree in trees().items() if name != "core/files.py"}
    assert faults(found) == {}, "use tame.core.files, which follows no link and leaves no half-written file"


@pytest.mark.parametrize(
    "code",
    [
        "open(path, 'w')", "open(path, mode='ab')", "path.open('wb')", "os.open(p, os.O_WRONLY | os.O_CREAT)",
        "path.write_text('x')", "path.write_bytes(b'')", "np.save(path, x)", "np.savez(path, x=x)",
        "save_file(tensors, path)", "safetensors.save_file(t, p)", "shutil.copyfile(a, b)", "shutil.move(a, b)",
        "os.fdopen(fd, 'w')", "zipfile.ZipFile(p, 'w')", "tempfile.mkstemp()", "os.open(p, os.O_RDWR)",
        "io.open(p, 'r+')", "path.symlink_to(other)",
    ],
)  # fmt: skip
def test_the_check_of_writers_finds_a_planted_one(code):
    assert list(writes(ast.parse(code))) == [code]


@pytest.mark.parametrize(
    "code", ["open(path)", "path.open('rb')", "os.open(p, os.O_RDONLY)", "np.save(file, x)", "write_text(f, n, t)",
             "port.open('table', given)", "x.copy()", "open(path, encoding='utf-8')", "Image.open(path)"],
)  # fmt: skip
def test_the_check_of_writers_leaves_readers_alone(code):
    assert list(writes(ast.parse(code))) == []


SYNCERS = ("core/files.py", "store/disk.py")  # of new files, through handles that write; and of folders, on POSIX alone


def test_no_source_syncs_a_file_but_the_ones_that_do_it_for_all():
    """A handle that only reads cannot be synced on Windows."""
    found = {name: list(syncs(tree)) for name, tree in trees().items() if name not in SYNCERS}
    assert faults(found) == {}


def syncs(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("fsync", "fdatasync"):
            yield ast.unparse(node)


def imported_by(tree: ast.AST) -> set[str]:
    """The top-level modules that this code imports, or asks importlib for."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            found |= {ast.unparse(node.args[0]).strip("'\"").split(".")[0]}
    return found


@pytest.mark.parametrize(
    "code",
    ["import pandas.api", "from polars import col", "importlib.import_module('pandas')", "if x:\n import pandas"],
)
def test_the_check_of_the_imports_finds_a_planted_one(code):
    assert imported_by(ast.parse(code)) & {"pandas", "polars"}


# What no file may hold. Each pattern is put together here, so that this file does not hold it.

DOT = "[.]"
HOSTS = [
    rf"py{'pi'}{DOT}org", rf"python{'hosted'}{DOT}org", rf"download{DOT}py{'torch'}", rf"npm{'js'}{DOT}",
    rf"anaconda{DOT}(org|com)", rf"deb{DOT}debian", rf"archive{DOT}ubuntu", rf"proxy{DOT}go{'lang'}",
    r"art" + "ifactory", r"(index|registry)[-_]ur" + "l *[= ] *[a-z]+:",
    r"find[-_]lin" + "ks *[= ] *[/a-z]",
]  # fmt: skip
PLACES = [
    rf"(?<![\w.-])/{'wo'}rk/", rf"/{'ho'}me/\w", rf"/{'Us'}ers/\w", rf"(?<![\w.])/{'ro'}ot\b", rf"/{'op'}t/\w",
    rf"/tmp/{'ve'}nv", rf"\b[A-Z]:\\{'Us'}ers",
]  # fmt: skip
ADDRESSES = [rf"(?<![\d.])(10{DOT}\d+|192{DOT}168|172{DOT}(1[6-9]|2\d|3[01])){DOT}\d+{DOT}\d+(?![\d.])"]
BANNED = re.compile("|".join(HOSTS + PLACES + ADDRESSES), re.IGNORECASE)


def test_no_file_names_a_registry_or_a_place_on_a_machine():
    found = []
    for path in tracked_files():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {match[0]}" for match in BANNED.finditer(line)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "see " + "pypi" + ".org/project", "--index-" + "url https:", "/" + "work/main", "/" + "home/ann/x",
        "at /" + "root", "10" + ".0.3.7", "192" + ".168.1.1",
    ],
)  # fmt: skip
def test_the_check_of_the_files_finds_a_planted_line(line):
    assert BANNED.search(line)


@pytest.mark.parametrize("line", ["a/work/b", "torch>=2.10", "127.0.0.1", "numpy==2.4.6", "version 10.2.1.3.4"])
def test_the_check_of_the_files_leaves_sound_lines_alone(line):
    assert not BANNED.search(line)


# Sizes, types, and names of tests

NINE_OF_TEN = "lines of nine functions of ten, docstrings aside"
MOST = {"lines of a file": 599, "lines of a class": 249, NINE_OF_TEN: 18, "dicts of anything": 32}
MOST_ANY = 3.0  # mentions of Any in 1,000 lines


OPEN_DICT = re.compile(r"\b(?:[Dd]ict|Mapping)\[\s*str,\s*Any,?\s*\]")  # also over several lines


MOST_BYTES = 300_000  # of a file: the picture of the README, and no weights


def test_no_file_of_weights_or_data_is_kept():
    large = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in files_of_git()}
    assert {name: size for name, size in large.items() if size > MOST_BYTES} == {}


def sizes(paths: list[Path]) -> dict[str, int]:
    """What is counted of these files, by the names in MOST."""
    texts = [path.read_text(encoding="utf-8") for path in paths]
    classes, functions = [0], [0]
    for tree in map(ast.parse, texts):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes.append(lines_of(node))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append(lines_of(node) - docstring_lines(node))
    return {
        "lines of a file": max(text.count("\n") for text in texts),
        "lines of a class": max(classes),
        NINE_OF_TEN: sorted(functions)[math.ceil(0.9 * len(functions)) - 1],
        "dicts of anything": sum(len(OPEN_DICT.findall(text)) for text in texts),
    }


def lines_of(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    text = ast.get_docstring(node, clean=False)
    return 0 if text is None else len(text.splitlines())


def test_nothing_grows_too_large():
    found = sizes(source_files())
    assert {name: most for name, most in found.items() if most > MOST[name]} == {}


def test_few_types_are_left_open():
    texts = [path.read_text(encoding="utf-8") for path in source_files()]
    lines, found = sum(text.count("\n") for text in texts), sum(len(re.findall(r"\bAny\b", text)) for text in texts)
    assert 1000 * found / lines < MOST_ANY


def test_sizes_are_counted(tmp_path):
    file = tmp_path / "some.py"
    file.write_text("class A:\n    x: dict[str, Any]\n\n    def f(self):\n        return 1\n")
    assert list(sizes([file]).values()) == [5, 5, 2, 1]
    file.write_text("x: Dict[str, Any]\ny: Mapping[\n    str,\n    Any,\n]\ndef f(): ...\n")
    assert sizes([file])["dicts of anything"] == 2


def spelled_origins(tree: ast.AST) -> list[str]:
    """Comparisons of an origin with a text: where it may be any text, the type checker sees no misspelt one."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            is_origin = any(getattr(side, "attr", getattr(side, "id", "")) == "origin" for side in sides)
            texts = [each for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)]
            found += [ast.unparse(node)] if is_origin and any(isinstance(each.value, str) for each in texts) else []
    return found


def test_the_origin_of_a_trial_is_asked_for_by_a_predicate():
    assert faults({name: spelled_origins(tree) for name, tree in trees().items()}) == {}


@pytest.mark.parametrize("code", ["trial.origin == 'forged'", "'user' != origin", "each.origin in ('sobol', 'grid')"])
def test_the_check_of_origins_finds_a_planted_one(code):
    assert spelled_origins(ast.parse(code)) == [code]
    assert spelled_origins(ast.parse("trial.origin == DEFAULT, kind == 'default'")) == []


def test_no_template_looks_a_key_up_by_its_text():
    """A misspelt attribute is an error of the template; a misspelt key is just not there."""
    pages = sorted((SOURCE / "report" / "templates").iterdir())
    assert len(pages) > 5
    key = re.compile(r"\.get\(\s*[\"']|\[\s*[\"']")
    inside = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
    assert [
        f"{page.name}: {code}" for page in pages for code in inside.findall(page.read_text()) if key.search(code)
    ] == []


# A file of tests has the name of a module or folder of its room, or states here what it is about.
SUBJECTS = {
    "adjust": {"search": "the laws of every searcher"},
    "app": {
        "cases": "inputs that once came out wrong, as their user runs them",
        "examples": "the scripts in examples/",
        "module": "the network of a study as a module of torch",
        "notebooks": "what notebooks show while a study goes on and of a study",
        "optional_packages": "what works without the packages that a user may lack",
        "own_models": "models of the user, from every place they come from",
        "serving": "the servers that docs/serve.md shows",
    },
    "benchmarks": {"own_runs": "curves recorded by the benchmarks"},
    "core": {"unit_cube": "values of dimensions as points of the unit cube"},
    "kinds": {
        "numbers_of_pictures": "numbers as labels of pictures",
        "package": "a kind of data from another package",
        "sources": "the laws of every source",
    },
    "monitor": {"monitor": "the laws of every rule"},
    "pages": {
        "bad_states": "what the pages say of studies, browsers and clocks that are not as they should be",
        "for_everybody": "keyboard, contrast, small screens, paper, without scripts",
        "hostile": "pages of others that try to read or change something",
        "in_browser": "the pages in a real browser",
        "lessons_in_browser": "the lessons, answered rightly and wrongly",
        "on_the_wire": "requests that no browser makes",
        "scenarios": "the promises of the pages, each with its test",
        "space_in_browser": "ranges that are moved",
        "taken": "models that are taken away, and what is said of them",
        "teach_in_browser": "a machine that is taught",
        "while_it_runs": "studies that go on while they are looked at",
    },
    "parts": {"soft_targets": "targets that are shares of classes"},
    "report": {"sections": "the sections of the page"},
    "store": {
        "store": "every store under load, attack and kills",
        "strangers": "folders of studies that strangers made",
    },
    "study": {
        "begin": "how a study begins, among other processes and after kills",
        "edits": "studies of edited data",
        "faults": "files that are lost, damaged or full while a study works",
        "old_studies": "studies that an earlier version made",
        "poisoned": "what commands make of events that no study writes",
        "several_workers": "studies of several workers, some of which are killed",
        "study": "pictures from the command line to the report",
        "table_study": "tables from the command line to the report",
        "wider_space": "spaces that grow while a study goes on",
    },
    "torture": {"sample": "a few rounds of each fault"},
    "trial": {"engines": "the laws of every engine", "weights": "weights of examples, in both engines"},
}


def rooms_of_tests() -> dict[str, list[str]]:
    """The names of what is tested, by the folder of their files."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").glob("*/test_*.py")):
        found.setdefault(path.parent.name, []).append(path.stem.removeprefix("test_"))
    return found


@pytest.mark.parametrize("room", sorted(rooms_of_tests()))
def test_a_file_of_tests_is_found_by_the_name_of_what_it_tests(room):
    folder = ROOT / room if room == "benchmarks" else ROOT / "tests" / room if room == "torture" else SOURCE / room
    assert folder.is_dir()
    parts = {path.stem for path in folder.rglob("*.py")} | {path.name for path in folder.rglob("*") if path.is_dir()}
    stated = SUBJECTS.get(room, {})
    assert set(rooms_of_tests()[room]) - parts - set(stated) == set()
    assert set(stated) - set(rooms_of_tests()[room]) == set(), "nothing is tested under these names"


# Words that do not come back in what people read: strings, docstrings and comments, pages and templates. Identifiers
# may hold them, so that keys of files stay as they are. Each is put together here, so that this file does not hold it.

GONE = re.compile(
    rf"\b(?:{'me'}nd(?:s|ed|ing)?|{'lear'}nt|may be {'ha'}d|h[au]ngs? {'o'}n|{'an'}ew|{'who'}lly|is {'n'}o study)\b",
    re.IGNORECASE,
)
READ = {".md", ".html", ".toml", ".css", ".txt", ""}
IDENTIFIER = re.compile(r"[\w.\[\]'-]+")


def texts_that_people_read(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; of Python, its strings and comments alone."""
    if path.suffix != ".py":
        yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        return
    with tokenize.open(path) as file:
        source = file.read()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not IDENTIFIER.fullmatch(node.value):
            yield from enumerate(node.value.splitlines(), node.lineno)
    lines = iter(source.splitlines(keepends=True))
    for token in tokenize.generate_tokens(lambda: next(lines, "")):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def words_that_went(path: Path) -> list[str]:
    """Where they stand in this file."""
    lines = texts_that_people_read(path)
    return [f"{number}: {match[0]}" for number, line in lines for match in GONE.finditer(line)]


def test_no_text_holds_a_word_that_went():
    read = [path for path in tracked_files() if path.suffix in {".py", *READ}]
    assert [f"{path.relative_to(ROOT)}:{found}" for path in read for found in words_that_went(path)] == []


def test_the_check_of_the_words_reads_strings_and_comments_but_no_names(tmp_path):
    word, file = "an" + "ew", tmp_path / "some.py"
    file.write_text(f"# {word}\nx = 'all {word}'\n{word} = {{'{word}': 1}}\ny = f'{{{word}}} is {word}'\n")
    assert sorted(words_that_went(file)) == [f"{line}: {word}" for line in (1, 2, 4)]


# What is written in two places


def requirements() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    texts = [*PROJECT["project"]["dependencies"], *(text for extra in extras for text in extra)]
    return [Requirement(text) for text in texts]


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_constraints_are_plain_pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!]*", line)] == []
    assert len(constraints()) == len(lines)


@pytest.mark.parametrize("wanted", requirements(), ids=lambda wanted: wanted.name)
def test_each_dependency_is_pinned_within_its_range_and_explained(wanted):
    assert wanted.specifier.contains(constraints()[canonicalize_name(wanted.name)])
    explained = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    assert f"| {wanted.name.lower()} |" in explained


NO_FLOOR = {"torchvision"}  # each version of it belongs to one of torch


@pytest.mark.parametrize("wanted", requirements(), ids=lambda wanted: wanted.name)
def test_each_floor_is_tried_and_is_the_one_that_is_explained(wanted):
    tried = dict(line.split("==") for line in floors(PROJECT_FILE.read_text(encoding="utf-8")))
    stated = [each.version for each in wanted.specifier if each.operator in (">=", "==")]
    assert len(stated) == (wanted.name not in NO_FLOOR)
    assert tried.get(wanted.name) == (stated[0] if stated else None)
    row = re.compile(
        rf"^\| {re.escape(wanted.name)} \| *{re.escape(''.join(stated))} *\|", re.IGNORECASE | re.MULTILINE
    )
    assert row.search((ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8"))


# Two networks of 20 MB each, for one test each; trackers of up to 60 MB, of which one holds Pillow back; Ray, 240 MB.
NOT_TRIED = {"lite", "mlflow", "ray", "trackio", "wandb"}


def test_make_installs_every_extra_that_tests_need():
    project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["project"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installed = re.search(r"^EXTRAS \?= ([a-z,]+)$", makefile, re.MULTILINE)[1].split(",")
    assert set(installed) == set(project["optional-dependencies"]) - NOT_TRIED


def test_the_guide_names_every_command_and_every_exit_code():
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    commands = [command.name or command.callback.__name__ for command in tame.app.cli.app.registered_commands]
    assert [name for name in commands if f"`tame {name}" not in guide] == []
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TameError)]
    codes = {0, 130, 143, *(kind.exit_code for kind in kinds)}
    assert [code for code in sorted(codes) if not re.search(rf"^\| {code} \|", guide, re.MULTILINE)] == []


def test_the_readme_opens_with_commands_that_the_makefile_has():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    opening = re.findall(r"^make (\w+)", readme[:400], re.MULTILINE)
    assert opening[:2] == ["demo", "test"]
    assert set(re.findall(r"\bmake ([a-z]+)", readme)) & {"demo", "test", "check", "bench"} <= set(targets)


@pytest.mark.parametrize("name", ["make_parts", "make_findings", "make_notebook"])
def test_a_page_made_from_the_sources_is_what_they_say(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run make docs"


def test_the_readme_and_the_pages_lead_to_files_that_are_there():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    assert len(pages) >= 8
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))]
    gone = [(page.name, link) for page, link in links if ":" not in link and not (page.parent / link).exists()]
    assert gone == []
