"""A step of fine-tuning: what do TAME's gradients of depthwise convolutions save? Prints one JSON line.

Trains the last four stages of the network that comes with TAME on noise, in turn with torch's convolutions and with
TAME's, and prints the processor time of a picture in milliseconds: the least of the rounds. A processor with AVX2 alone
(ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2) has no bfloat16, so give --precision float32 there.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import replace

import torch
from torch import nn

from tame.core.recipe import ModelRecipe
from tame.kinds.pictures.inference import fold_norms
from tame.kinds.pictures.tasks import Tuned
from tame.parts.backbones import cut, open_backbone
from tame.parts.depthwise import with_depthwise
from tame.parts.embedded import DEFAULT
from tame.parts.mlp import head_of
from tame.worker.environment import tune_allocator

CLASSES, UNFROZEN = 10, 4


def main() -> None:
    """Compares both over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    tune_allocator()
    torch.manual_seed(0)
    backbone = open_backbone(DEFAULT)
    probe = torch.linspace(-1, 1, 3 * backbone.size**2).view(1, 3, backbone.size, backbone.size)
    lower, upper = cut(replace(backbone, module=fold_norms(backbone.module, probe)), UNFROZEN)
    layout = torch.channels_last
    lower = lower.to(memory_format=layout)
    x = torch.randn(given.batch, 3, given.size, given.size).contiguous(memory_format=layout)
    target = torch.randint(0, CLASSES, (given.batch,))
    found = {"torch": float("inf"), "tame": float("inf")}
    for _ in range(given.rounds):
        for name in found:
            own = copy.deepcopy(upper).requires_grad_(True)
            own = with_depthwise(own) if name == "tame" else own
            module = Tuned(own, head_of(backbone.num_features, CLASSES, ModelRecipe())).to(memory_format=layout)
            for _ in range(2):  # the first step makes what later ones use again
                took = step(lower, module.train(), x, target, half=given.precision == "bfloat16")
            found[name] = min(found[name], took)
    each = {name: round(1e3 * took / given.batch, 2) for name, took in found.items()}
    about = {"precision": given.precision, "size": given.size, "instructions": torch.backends.cpu.get_cpu_capability()}
    print(json.dumps({"benchmark": "fine_tuning", **about, "threads": torch.get_num_threads(), "cpu_ms": each}))


def step(lower: nn.Module, module: nn.Module, x: torch.Tensor, target: torch.Tensor, *, half: bool) -> float:
    """Processor seconds of a step without its optimizer."""
    begun = time.process_time()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        with torch.no_grad():
            maps = lower(x)
        logits = module(maps)
    nn.functional.cross_entropy(logits.float(), target).backward()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
