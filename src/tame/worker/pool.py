"""Several workers that share what a study trains, each a separate process.

The first living one, the lead, carries out every command by itself but `advance`: of that it only says which trials are
trained together and how, and then all workers take those groups, one after another. So what is measured is measured
once, and the groups are the same for any number of workers.

What is fine-tuned is one network, and one group: where all workers are on this machine, they train it together, each on
a part of every batch (`trial/ranks.py`). If one of them dies, all begin again with the last checkpoint.

The weights of a trial are where it was trained last. Another worker takes them over from their checkpoint: every trial
that goes on has one. A worker that dies is started again, and goes on from there; one that dies again and again is
given up, and the others take its groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Protocol

from tame.core.errors import ApartError, StoppedError
from tame.core.plain import from_plain, to_plain
from tame.trial.commands import Advanced, Arranged, Commands, Message, Note, Seat
from tame.worker.client import Client
from tame.worker.executor import Hear, Worker, WorkerLostError
from tame.worker.process import MAX_RESTARTS, lasting
from tame.worker.wire import Call, read_answer

Values = Mapping[str, object]  # of a command, in plain values
Trials = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Named:
    """What a command says of a trial, or of what it comes from, that matters here."""

    trial: int
    inherited: int = 0
    source: int = -1


@dataclass(frozen=True, slots=True)
class _NamedMember:
    state: _Named


class Hire(Protocol):
    """Starts the worker of this number. restarted: as in `ProcessExecutor`."""

    def __call__(self, number: int, *, hear: Hear, restarted: Callable[[str], None]) -> Worker: ...


@dataclass(slots=True, eq=False)
class _Member:
    """A worker, and what it was told of what lasts, by what that takes the place of."""

    number: int
    worker: Worker
    told: dict[str, Call] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Restarted:
    how: str


@dataclass(frozen=True, slots=True)
class _Ended:
    """A member has trained these groups, or has not."""

    groups: Sequence[Trials]
    problem: BaseException | None


Said = Message | _Restarted | _Ended


class PoolExecutor:
    """Several workers as one executor.

    hear: called, like restarted, in the thread that gives the commands, whichever worker a message comes from;
    are_here: whether all workers are on this machine; closing: called once all workers have ended.
    """

    def __init__(
        self, hire: Hire, *, workers: int, hear: Hear, restarted: Callable[[str], None], are_here: bool = True,
        closing: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.commands: Commands = Client(self.carry_out)
        self._hear = hear
        self._restarted = restarted
        self._are_here = are_here
        self._closing = closing
        self._said: SimpleQueue[tuple[_Member, Said]] = SimpleQueue()
        self._is_round = self._is_interrupted = False
        self._lasting: dict[str, Call] = {}
        self._home: dict[int, int] = {}  # the worker that trained a trial last, by its number
        self._threads = ThreadPoolExecutor(workers)
        self._members: list[_Member] = []  # those that live; the first one is the lead
        try:
            for number in range(workers):
                worker = hire(number, hear=partial(self._take, number), restarted=partial(self._take_restart, number))
                self._members.append(_Member(number, worker))
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._members[0].worker.pid

    def stop(self) -> None:
        for member in self._members:
            member.worker.stop()

    def interrupt(self) -> None:
        self._is_interrupted = True
        for member in self._members:
            member.worker.interrupt()

    def close(self) -> None:
        for member in self._members:
            member.worker.close()
        self._threads.shutdown()
        if self._closing is not None:
            self._closing()

    def carry_out(self, call: Call) -> object:
        """The plain answer to a command. Raises as a worker does."""
        self._is_interrupted = False
        assert isinstance(call.values, Mapping)
        if call.name == "advance":
            return self._advance(call.values)
        self._gather(_trials_of(call))
        if call.name == "forget" and len(set(self._home.values())) > 1:
            self._by_lead(Call("take_over", {"trials": []}))  # it forgets the checkpoints of others too
        answer = self._by_lead(call)
        if key := "forget" if call.name == "forget" else lasting(call):
            self._lasting.pop(key, None)
            self._lasting[key] = self._members[0].told[key] = call
        if call.name == "copy":
            self._home |= {each.trial: self._members[0].number for each in _named(call.values)}
        return answer

    # One worker ------------------------------------------------------------------------------------------------------

    def _by_lead(self, call: Call) -> object:
        while True:
            lead = self._members[0]
            try:
                self._tell(lead, is_lead=True)
                return lead.worker.carry_out(call)
            except WorkerLostError as problem:
                if self._lost(lead, problem) is not None:
                    raise

    def _tell(self, member: _Member, *, is_lead: bool = False) -> None:
        """Tells a worker what was said to others and lasts. The network that is delivered is the lead's alone."""
        for key, call in list(self._lasting.items()):
            if member.told.get(key) is not call and (is_lead or call.name != "network"):
                member.worker.carry_out(call)
                member.told[key] = call

    def _gather(self, trials: Sequence[int]) -> None:
        """Lets the lead take over the states of trials that others have trained."""
        for member in self._members[1:]:
            own = [trial for trial in trials if self._home.get(trial) == member.number]
            try:
                if own:
                    member.worker.carry_out(Call("hand_over", {"trials": own}))
            except WorkerLostError as problem:
                self._lost(member, problem)  # what had no checkpoint is trained again
        lead = self._members[0].number
        moved = [trial for trial in trials if self._home.get(trial, lead) != lead]
        if moved:
            self._by_lead(Call("take_over", {"trials": moved}))
            self._home |= dict.fromkeys(moved, self._members[0].number)

    def _lost(self, member: _Member, problem: WorkerLostError) -> WorkerLostError | None:
        """Gives a worker up. Returns its problem if it was the last one, which stays."""
        if len(self._members) == 1:
            return problem
        if member is self._members[0]:
            self._members[1].worker.begin_anew()  # the next lead, with what this one has measured
        self._members.remove(member)
        member.worker.close()
        left = "one other goes on" if len(self._members) == 1 else f"{len(self._members)} others go on"
        self._take(self._members[0].number, Note(f"worker {member.number + 1} is given up, {left}: {problem}"))
        return None

    # All workers -----------------------------------------------------------------------------------------------------

    def _advance(self, values: Values) -> object:
        arranged = self._arranged(values)
        every = from_plain(list[dict[str, object]], values["trials"], what="the trials to train")
        asked = dict(zip([each.trial for each in _named(values)], every, strict=True))
        for place, (group, how) in enumerate(zip(arranged.groups, arranged.hows, strict=True)):
            for trial in group:
                asked[trial] |= {"how": to_plain(how), "group": place}
        if not (self._are_here and arranged.is_shared and self._together([*asked], values, asked)):
            self._round([*arranged.groups], values, asked, at_once=arranged.at_once)
        return to_plain(Advanced(engines=arranged.engines, preparing_s=arranged.preparing_s))

    def _arranged(self, values: Values) -> Arranged:
        trials, lead = _named(values), self._members[0].number
        moved = [each.trial for each in trials if self._home.get(each.trial, lead) != lead]
        # Trials at different epochs are not arranged together, so the lead must know those of others.
        if moved and any(each.inherited for each in trials):
            self._by_lead(Call("take_over", {"trials": moved}))
        given = {"trials": values["trials"], "folds": values["folds"], "workers": len(self._members)}
        return read_answer(Arranged, self._by_lead(Call("arrange", given)), name="arrange")

    def _together(self, trials: Sequence[int], values: Values, asked: Mapping[int, object]) -> bool:
        """Has all workers train one group together; False where that is given up, or only one is left."""
        attempt = 0
        while len(self._members) > 1 and not self._is_interrupted:
            attempt += 1
            self._gather(trials)
            self._by_lead(Call("hand_over", {"trials": trials}))
            try:
                with TemporaryDirectory(prefix="tame-together-") as folder:
                    self._round([], values, asked, at_once=0, folder=folder)
                return True
            except ApartError as problem:
                if attempt > MAX_RESTARTS:
                    self._hear(Note(f"one worker goes on alone with trial {trials[0]}: {problem}"))
                    break
        return False

    def _round(
        self, todo: list[Trials], values: Values, asked: Mapping[int, object], *, at_once: int, folder: str = ""
    ) -> None:
        """Has all groups trained, and ends when nobody trains any more, whatever has happened.

        asked: what is asked of each trial; folder: an empty one, where all workers train all that is asked together.
        """
        idle, num_busy, problem, is_deaf = list(self._members), 0, None, False
        self._is_round = True
        if folder:
            num_busy, trials = len(self._members), tuple(asked)
            self._home |= dict.fromkeys(trials, self._members[0].number)
            for member, call in zip(self._members, _seated(values, asked, num_busy, folder), strict=True):
                self._threads.submit(self._train, member, [trials], [call])
        while True:
            while idle and todo and problem is None and not self._is_interrupted:
                self._send(idle.pop(0), todo, values, asked, at_once=at_once)
                num_busy += 1
            if not num_busy:
                break
            member, said = self._said.get()
            failed: BaseException | None = None
            if isinstance(said, _Ended):
                num_busy -= 1
                if isinstance(said.problem, WorkerLostError):
                    todo += [] if folder else said.groups  # last, in case it is they that end workers
                    failed = self._lost(member, said.problem) or (ApartError(str(said.problem)) if folder else None)
                else:
                    idle.append(member)
                    failed = said.problem
            elif not is_deaf:  # else whoever hears has failed, and wants no more
                try:
                    self._pass_on(member, said)
                except KeyboardInterrupt:
                    raise  # the user stops at once, whoever still trains
                except BaseException as raised:
                    is_deaf, failed = True, raised
            if failed is not None:
                problem = failed if problem is None or isinstance(problem, StoppedError) else problem
                for other in self._members:
                    other.worker.interrupt()
                if folder:  # whoever still waits there for the others, waits in vain
                    rmtree(folder, ignore_errors=True)
        self._is_round = False
        if problem is None and todo:
            problem = StoppedError("stopped by the user")
        if problem is not None:
            raise problem

    def _pass_on(self, member: _Member, said: Message | _Restarted) -> None:
        """Says a word of a worker to whoever hears."""
        if isinstance(said, _Restarted):
            self._restarted(f"worker {member.number + 1}: {said.how}")
        else:
            if self._is_interrupted:
                member.worker.interrupt()  # its command may have come after the word
            self._hear(said)

    def _send(
        self, member: _Member, todo: list[Trials], values: Values, asked: Mapping[int, object], *, at_once: int
    ) -> None:
        """Gives a member its next groups, if possible those whose weights it has."""
        groups = sorted(todo, key=partial(_strangeness, self._home, member.number))[:at_once]
        for group in groups:
            todo.remove(group)
        trials = [trial for group in groups for trial in group]
        moved = [trial for trial in trials if self._home.get(trial, member.number) != member.number]
        self._home |= dict.fromkeys(trials, member.number)
        calls = [Call("take_over", {"trials": moved})] if moved else []
        calls.append(Call("advance", {**values, "trials": [asked[trial] for trial in trials]}))
        self._threads.submit(self._train, member, groups, calls)

    def _train(self, member: _Member, groups: Sequence[Trials], calls: Iterable[Call]) -> None:
        problem: BaseException | None = None
        try:
            self._tell(member)
            for call in calls:
                member.worker.carry_out(call)
        except BaseException as raised:  # it is raised again in the thread that waits
            problem = raised
        self._said.put((member, _Ended(groups, problem)))

    def _take_restart(self, number: int, how: str) -> None:
        self._take(number, _Restarted(how))

    def _take(self, number: int, said: Message | _Restarted) -> None:
        """Takes a word of a worker: in a round from its own thread, for the one that waits.

        Raises WorkerLostError where the worker was given up: others go on with what it had, so it is too late.
        """
        member = next((each for each in self._members if each.number == number), None)
        if member is None:
            raise WorkerLostError(f"worker {number + 1} was given up")
        if self._is_round:
            self._said.put((member, said))
        else:
            self._pass_on(member, said)


def _strangeness(home: Mapping[int, int], number: int, group: Trials) -> int:
    """Whose weights a group has: 0 if those of the worker of this number, 1 if none. home: of trials."""
    homes = {home.get(trial) for trial in group}
    return 0 if number in homes else 1 if homes == {None} else 2


def _seated(values: Values, asked: Mapping[int, object], num: int, folder: str) -> list[Call]:
    """What so many workers are told that train the same trials together, through this folder."""
    every = {**values, "trials": [*asked.values()]}
    seats = [to_plain(Seat(number=number, count=num, folder=folder)) for number in range(num)]
    return [Call("advance_together", {**every, "seat": seat}) for seat in seats]


def _named(values: Values) -> list[_Named]:
    """The trials that a command names."""
    return from_plain(list[_Named], values["trials"], what="the trials of a command")


def _trials_of(call: Call) -> list[int]:
    """The trials whose weights a command for the lead alone needs."""
    assert isinstance(call.values, Mapping)
    match call.name:
        case "validation" | "on_fewer":
            return [from_plain(_Named, call.values["state"], what="the state that is judged").trial]
        case "train_again" | "network":
            members = from_plain(list[_NamedMember], call.values["members"], what="the members of a network")
            return [each.state.trial for each in members]
        case "copy":
            return [each.source for each in _named(call.values)]
    return []
