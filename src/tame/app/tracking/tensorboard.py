"""Event files of TensorBoard: a folder for each trial, its curve and hyperparameters in it.

A file is opened for each piece that is written and closed again, so that 10,000 trials need no 10,000 open files, and
all values of an epoch are one record. Only messages and checksums of tensorboardX are used: its writer keeps a thread
and a queue for each file.
"""

from __future__ import annotations

import shutil
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tame.app.tracking.tracker import TRACKERS, Kind, Measured, Place, Run
from tame.core.files import appending, own_folder
from tame.core.recipe import Value
from tame.core.records import TrialState

FILE = "events.out.tfevents.{at:d}.tame"
STUDY = "study"  # the folder of the study's score
PLUGIN = "hparams"
START, END = "_hparams_/session_start_info", "_hparams_/session_end_info"


class TensorBoard:
    """Writes into `folder`/trial-00007/. What an earlier process wrote there is replaced."""

    def __init__(self, folder: Path) -> None:
        sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # tensorboardX loads it where it can, and needs nothing of it
        from tensorboardX.proto import api_pb2, event_pb2, plugin_hparams_pb2, summary_pb2
        from tensorboardX.record_writer import masked_crc32c

        self._folder = folder
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._about = summary_pb2.SummaryMetadata
        self._hparams, self._status = plugin_hparams_pb2, api_pb2
        self._checksum = masked_crc32c
        self._files: dict[str, str] = {}  # by the folder of a run
        for each in folder.iterdir():
            if each.is_dir() and not each.is_symlink() and (each.name == STUDY or each.name.startswith("trial-")):
                shutil.rmtree(each)

    def start(self, run: Run) -> None:
        about = self._hparams.SessionStartInfo(start_time_secs=run.at, group_name=run.name)
        for name, value in {"origin": run.origin, **run.params}.items():
            _put(about.hparams[name], value)
        self._write(run.name, [self._plugin(START, self._hparams.HParamsPluginData(session_start_info=about), run.at)])

    def measure(self, run: Run, points: Sequence[Measured]) -> None:
        self._write(run.name, [self._scalars(each.values, each.at, step=each.epoch) for each in points])

    def end(self, run: Run, state: TrialState, final: Measured) -> None:
        whole = "STATUS_FAILURE" if state in ("diverged", "failed") else "STATUS_SUCCESS"
        about = self._hparams.SessionEndInfo(status=self._status.Status.Value(whole), end_time_secs=final.at)
        records = [self._scalars(final.values, final.at, step=final.epoch)] if final.values else []
        end = self._plugin(END, self._hparams.HParamsPluginData(session_end_info=about), final.at)
        self._write(run.name, [*records, end])

    def score(self, values: Mapping[str, float], *, at: float) -> None:
        self._write(STUDY, [self._scalars(values, at, step=0)])

    def close(self) -> None: ...

    def _scalars(self, values: Mapping[str, float], at: float, *, step: int) -> Any:
        every = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        return self._event(wall_time=at, step=step, summary=self._summary(value=every))

    def _plugin(self, tag: str, content: Any, at: float) -> Any:
        data = self._about.PluginData(plugin_name=PLUGIN, content=content.SerializeToString(deterministic=True))
        value = self._summary.Value(tag=tag, metadata=self._about(plugin_data=data))
        return self._event(wall_time=at, summary=self._summary(value=[value]))

    def _write(self, run: str, events: Iterable[Any]) -> None:
        every = list(events)
        if run not in self._files:
            own_folder(self._folder, run)
            at = every[0].wall_time
            self._files[run] = f"{run}/{FILE.format(at=int(at))}"
            every.insert(0, self._event(wall_time=at, file_version="brain.Event:2"))
        with appending(self._folder, self._files[run]) as file:
            file.write(b"".join(self._record(each.SerializeToString(deterministic=True)) for each in every))

    def _record(self, content: bytes) -> bytes:
        """A record of TFRecord: the length and its checksum, the content and its checksum."""
        head = struct.pack("<Q", len(content))
        sums = [struct.pack("<I", self._checksum(part)) for part in (head, content)]
        return head + sums[0] + content + sums[1]


def _put(into: Any, value: Value) -> None:
    """Puts a value into a protobuf message of any JSON value."""
    if isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int | float):
        into.number_value = value
    else:
        into.string_value = value


def _open(place: Place) -> TensorBoard:
    return TensorBoard(place.folder)


TRACKERS.add("tensorboard")(Kind(open=_open, package="tensorboardX", extra="tensorboard", is_made_again=True))
