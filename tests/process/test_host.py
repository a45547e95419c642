from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from studio.errors import ModelError, OutOfMemory, StudioError, UnknownName
from studio.events import Cancelled, Failed, Finished, Step
from studio.jobs import Job, JobRunner
from studio.process.child import EngineFault
from studio.process.host import EngineHost, EngineLost
from studio.process.watch import Watch
from studio.requests import TextToImage
from studio.settings import Settings
from tests.process.works import DiesStarting, NoEngine, NoTorch, Play, Prepares

ROOT = Path(__file__).resolve().parents[2]


def ask(prompt: str = "a", steps: int = 5) -> TextToImage:
    return TextToImage(prompt=prompt, seed=1, steps=steps)


@pytest.fixture(scope="module")
def host() -> Iterator[EngineHost]:
    with EngineHost(Settings(), build=Play, patience_seconds=1.0) as running:
        running.start()
        assert running.wait_until_ready(60)
        yield running


def keep(job: Job, finished: Finished) -> Finished:
    return finished


def test_a_request_runs_in_another_process_and_its_events_arrive_in_order(host: EngineHost) -> None:
    *steps, finished = host.run(ask(), lambda: False)
    assert [step.index for step in steps if isinstance(step, Step)] == [1, 2, 3, 4, 5]
    assert isinstance(steps[0], Step) and steps[0].preview is not None
    assert steps[0].preview.getpixel((0, 0)) == (1, 0, 0)
    assert isinstance(finished, Finished)
    assert finished.facts["pid"] == host.pid != os.getpid()
    assert (host.notice, host.phase) == ("Playing.", "")


def test_a_cancelled_run_stops_within_a_step_or_two(host: EngineHost) -> None:
    stop = threading.Event()
    seen = []
    for event in host.run(ask(steps=150), stop.is_set):
        seen.append(event)
        if isinstance(event, Step) and event.index == 3:
            stop.set()
    assert isinstance(seen[-1], Cancelled)
    assert seen[-1].at_step < 20


def test_a_run_that_its_watcher_leaves_is_stopped(host: EngineHost) -> None:
    run = host.run(ask(steps=150), lambda: False)
    next(run)
    run.close()
    *_, finished = host.run(ask(steps=1), lambda: False)
    assert isinstance(finished, Finished)


@pytest.mark.parametrize(
    ("prompt", "error"), [("unknown", UnknownName), ("damaged", ModelError), ("fault", EngineFault)]
)
def test_what_the_engine_raises_is_raised_here(host: EngineHost, prompt: str, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        list(host.run(ask(prompt), lambda: False))
    if isinstance(raised.value, UnknownName):
        assert raised.value.field == "model"
        assert "There is no model" in str(raised.value)
    if isinstance(raised.value, EngineFault):
        assert "ZeroDivisionError: one by nothing" in str(raised.value)


def test_the_engines_log_lines_come_into_this_log(host: EngineHost, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        list(host.run(ask("log"), lambda: False))
        deadline = time.monotonic() + 20
        while "a word from the engine" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "a word from the engine" in caplog.text


def test_a_call_goes_to_the_desk_and_comes_back_beside_a_run(host: EngineHost) -> None:
    run = host.run(ask(steps=150), lambda: False)
    next(run)
    name, positional, named, pid, _ = host.call("dab", 1, codes=[2])
    assert (name, positional, named, pid) == ("dab", (1,), {"codes": [2]}, host.pid)
    run.close()
    with pytest.raises(UnknownName):
        host.call("unknown")
    with pytest.raises(EngineFault, match="StudioError"):  # one that cannot be pickled is told as text
        host.call("unsendable")


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("abort", "The engine crashed."),
        ("killed", "most likely because memory ran out"),
        ("exit", "The engine ended."),
        ("hang", "did not move for 1 seconds"),
    ],
)
def test_a_crash_a_kill_and_a_hang_cost_one_job_and_the_next_one_runs(host: EngineHost, prompt: str, says: str) -> None:
    """R16: the error goes to that job; the queue and the page go on."""
    assert host.wait_until_ready(60)
    before = host.pid
    with JobRunner(host.run, keep) as runner:
        bad, good = (runner.submit(ask(words), owner="A") for words in (prompt, "good"))
        ending = bad.result(timeout_seconds=60)
        assert isinstance(ending, Failed) and says in ending.message, ending
        assert "A new engine is starting." in ending.hint
        finished = good.result(timeout_seconds=60)
    assert isinstance(finished, Finished)
    assert finished.facts["pid"] == host.pid != before


def test_what_spoils_its_thread_leaves_the_next_job_and_call_on_another(host: EngineHost) -> None:
    """R1: oneDNN fails for good on a thread on which it once ran out of memory."""
    threads = []
    for order in (lambda: list(host.run(ask("spoil"), lambda: False)), lambda: host.call("spoil")):
        *_, finished = host.run(ask(), lambda: False)
        threads.append(finished.facts["thread"])
        with pytest.raises(OutOfMemory):
            order()
    *_, finished = host.run(ask(), lambda: False)
    assert len({*threads, finished.facts["thread"]}) == 3
    assert finished.facts["pid"] == host.pid
    assert host.call("dab")[0] == "dab"


@pytest.fixture
def shared_host() -> Iterator[EngineHost]:
    with EngineHost(Settings(joined_jobs=3), build=Play) as running:
        running.start()
        assert running.wait_until_ready(60)
        yield running


def test_joined_runs_take_turns_a_step_each_and_one_that_fails_or_stops_leaves_the_others(
    shared_host: EngineHost,
) -> None:
    said: dict[str, list[Any]] = {}
    stop = threading.Event()

    def follow(prompt: str, steps: int, should_stop: Callable[[], bool]) -> None:
        said[prompt] = []
        try:
            for event in shared_host.run(ask(prompt, steps), should_stop):
                said[prompt].append(event)
                if len(said.get("stopped", ())) > 2:
                    stop.set()
        except (StudioError, EngineFault) as error:
            said[prompt].append(error)

    runs = (("long", 60, lambda: False), ("stopped", 150, stop.is_set), ("damaged", 30, lambda: False))
    with ThreadPoolExecutor(3) as threads:
        for future in [threads.submit(follow, *run) for run in runs]:
            future.result(timeout=60)
    assert isinstance(said["long"][-1], Finished)
    assert isinstance(said["stopped"][-1], Cancelled) and said["stopped"][-1].at_step < 60
    assert isinstance(said["damaged"][-1], ModelError)


def test_a_call_under_which_the_engine_is_lost_says_that_the_desk_is_empty(host: EngineHost) -> None:
    assert host.wait_until_ready(60)
    with pytest.raises(EngineLost) as lost:
        host.call("killed")
    assert lost.value.status == 404
    assert host.call("dab")[0] == "dab"


def test_only_the_first_engine_warms_up() -> None:
    with EngineHost(Settings(), build=Play) as host:
        host.start(warm_up=True)
        list(host.run(ask(steps=1), lambda: False))  # behind the warm-up, on the same thread
        assert host.call("count")[-1] == 1
        with pytest.raises(EngineLost):
            host.call("killed")
        assert host.call("count")[-1] == 0


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (NoEngine, "There is no device cuda:7."),
        (NoTorch, "The engine cannot start: No module named 'torch'."),
        (DiesStarting, "ended 3 times while starting"),
    ],
)
def test_an_engine_that_cannot_start_fails_every_job_with_the_reason(build: type[Play], says: str) -> None:
    with EngineHost(Settings(), build=build) as host:
        host.start()
        with pytest.raises(StudioError, match=says):
            list(host.run(ask(), lambda: False))
        assert not host.wait_until_ready(60)
        assert says in host.notice


def test_a_job_can_be_cancelled_while_the_engine_is_still_starting() -> None:
    host = EngineHost(Settings(), build=Play)  # never started
    assert list(host.run(ask(), lambda: True))[-1] == Cancelled(at_step=0)


def waits_for(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def spared() -> Iterator[EngineHost]:
    with (
        pytest.MonkeyPatch.context() as patch,
        EngineHost(Settings(), build=Prepares, spare_after_seconds=0.1) as running,
    ):
        patch.setattr("studio.process.spare.ROOM_BYTES", 0)  # a small machine has a spare here too
        running.start()
        assert running.wait_until_ready(60) and not running.has_spare
        yield running


def test_an_idle_engine_has_a_spare_that_takes_over_and_is_replaced(spared: EngineHost) -> None:
    for _ in range(2):
        waits_for(lambda: spared.has_spare)
        before, spare = spared.pid, spared._spare.process
        assert before and spare and spare.pid != before
        with pytest.raises(EngineLost):
            list(spared.run(ask("killed"), lambda: False))
        *_, finished = spared.run(ask(), lambda: False)
        assert isinstance(finished, Finished) and finished.facts["pid"] == spare.pid == spared.pid
        assert finished.facts["prepared"] == [spared.pid], "it was prepared before it was the engine, in that process"


def test_a_spare_that_is_lost_costs_nothing_and_is_replaced(spared: EngineHost) -> None:
    waits_for(lambda: spared.has_spare)
    spare = spared._spare.process
    assert spare and spare.pid
    os.kill(spare.pid, signal.SIGKILL)
    *_, finished = spared.run(ask(), lambda: False)
    assert isinstance(finished, Finished)
    waits_for(lambda: spared.has_spare and spared._spare.process is not spare)
    os.kill(spared._spare.process.pid or 0, signal.SIGKILL)  # type: ignore[union-attr]
    with pytest.raises(EngineLost):
        list(spared.run(ask("killed"), lambda: False))
    assert isinstance(list(spared.run(ask(), lambda: False))[-1], Finished), "a new one starts from nothing"


@pytest.mark.skipif(sys.platform != "linux", reason="reads thread priorities in /proc: run on Linux")
def test_a_spare_keeps_its_priority_for_when_it_is_the_engine(spared: EngineHost) -> None:
    waits_for(lambda: spared.has_spare)
    with pytest.raises(EngineLost):
        list(spared.run(ask("killed"), lambda: False))
    *_, finished = spared.run(ask(), lambda: False)
    assert isinstance(finished, Finished)
    assert finished.facts["nice"] == os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize("why", ["setting", "memory"])
def test_there_is_no_spare_where_it_is_not_wanted_or_memory_is_short(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "memory":
        monkeypatch.setattr("studio.process.spare.ROOM_BYTES", 2**60)
    with EngineHost(Settings(spare_engine=why != "setting"), build=Play, spare_after_seconds=0) as host:
        host.start()
        assert host.wait_until_ready(60)
        time.sleep(1.5)  # three looks
        assert not host.has_spare and host._spare.process is None


def test_closing_leaves_no_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.process.spare.ROOM_BYTES", 0)
    with EngineHost(Settings(), build=Play, spare_after_seconds=0) as host:
        host.start()
        waits_for(lambda: host.has_spare)
        spare = host._spare.process
    assert spare and not spare.is_alive()
    assert not [it for it in psutil.Process().children() if it.pid == spare.pid]


def test_closing_leaves_no_process() -> None:
    with EngineHost(Settings(), build=Play) as host:
        host.start()
        assert host.wait_until_ready(60)
        pid = host.pid
    assert pid is not None and not psutil.pid_exists(pid)
    assert not [child for child in multiprocessing.active_children() if child.pid == pid]


_PARENT = """
import sys, time
from studio.process.host import EngineHost
from studio.settings import Settings
from tests.process.works import Play
if __name__ == "__main__":
    host = EngineHost(Settings(), build=Play)
    host.start()
    host.wait_until_ready(60)
    print(host.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals: run on Linux or macOS")
@pytest.mark.parametrize("is_stopped", [False, True])
def test_the_engine_dies_with_its_parent_even_by_kill_9(tmp_path: Path, is_stopped: bool) -> None:
    """No orphans: an engine holds gigabytes. On Linux even one that is stopped goes."""
    if is_stopped and sys.platform != "linux":
        pytest.skip("only Linux signals a child whose parent died: run on Linux")
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    engine = psutil.Process(int(parent.stdout.readline()))
    if is_stopped:
        engine.send_signal(signal.SIGSTOP)
    parent.kill()
    parent.wait(20)
    parent.stdout.close()
    _, alive = psutil.wait_procs([engine], timeout=30)
    assert not alive or alive[0].status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals: run on Linux or macOS")
def test_the_engine_leaves_ctrl_c_to_its_parent(host: EngineHost) -> None:
    assert host.wait_until_ready(60) and host.pid
    os.kill(host.pid, signal.SIGINT)
    *_, finished = host.run(ask(), lambda: False)
    assert isinstance(finished, Finished) and finished.facts["pid"] == host.pid


@pytest.mark.parametrize(
    ("seconds_of_work", "hung_after"),
    [(0.0, 8.0), (1.0, 80.0)],
    ids=["one that neither speaks nor computes", "one that computes without a word"],
)
def test_the_watch_ends(seconds_of_work: float, hung_after: float) -> None:
    now = [0.0]
    watch = Watch(8.0, processor_seconds=lambda: seconds_of_work * now[0], clock=lambda: now[0])
    while not watch.has_hung():
        now[0] += 0.5
    assert now[0] == hung_after


def test_the_watch_leaves_alone_who_speaks() -> None:
    now = [0.0]
    watch = Watch(8.0, processor_seconds=lambda: 0.0, clock=lambda: now[0])
    for _ in range(100):
        now[0] += 7
        assert not watch.has_hung()
        watch.heard()


def test_every_studio_error_can_travel() -> None:
    for error in (StudioError("a", "b"), UnknownName("model", "x", ["y"], field="m"), EngineLost("a")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.__dict__) == (type(error), str(error), error.__dict__)


def test_the_pages_side_needs_no_torch() -> None:
    code = "import sys, studio.app, studio.process.host; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
