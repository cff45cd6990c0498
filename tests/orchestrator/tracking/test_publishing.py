"""The publisher never blocks, says an outage once, and gets everything through in the end."""

import logging
import threading
import time
from dataclasses import replace

import pytest

from layerscope.orchestrator.errors import PrerequisiteMissing, TrackerUnavailable
from layerscope.orchestrator.tracking.memory import MemoryTracker
from layerscope.orchestrator.tracking.publishing import Publisher, publish_each
from layerscope.orchestrator.tracking.tracker import Page

EXPERIMENT = "experiment"


def page(key: str, name: str = "name") -> Page:
    return Page(key=key, level="variant", name=name, parent=None, status="running")


@pytest.fixture
def tracker():
    return MemoryTracker()


@pytest.fixture
def publisher(tracker, caplog):
    caplog.set_level(logging.INFO)
    publisher = Publisher(tracker, EXPERIMENT, shortest_pause=0.01, longest_pause=0.04)
    yield publisher
    publisher.close(5)


def messages(caplog, level):
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_all_pages_offered_are_published(publisher, tracker):
    publisher.offer([page("a"), page("b")])
    publisher.offer([page("c")])
    assert publisher.close(5) == 0
    assert list(tracker.pages(EXPERIMENT)) == ["a", "b", "c"]


def test_an_outage_is_said_once_and_loses_nothing(publisher, tracker, caplog):
    tracker.fail_next(8)
    publisher.offer([page("a"), page("b")])
    wait_until(lambda: len(tracker.pages(EXPERIMENT)) == 2)
    assert publisher.close(5) == 0
    assert len(messages(caplog, logging.WARNING)) == 1
    assert "`layerscope publish`" in messages(caplog, logging.WARNING)[0]
    assert messages(caplog, logging.INFO) == ["the tracker is available again"]
    assert tracker.num_calls == 10


def test_a_second_outage_is_said_again(publisher, tracker, caplog):
    for key in ("a", "b"):
        tracker.fail_next(2)
        publisher.offer([page(key)])
        wait_until(lambda key=key: key in tracker.pages(EXPERIMENT))
        wait_until(
            lambda key=key: (
                messages(caplog, logging.INFO).count("the tracker is available again") == "ab".index(key) + 1
            )
        )
    assert len(messages(caplog, logging.WARNING)) == 2


def test_pauses_grow_while_the_outage_lasts(tracker):
    publisher = Publisher(tracker, EXPERIMENT, shortest_pause=0.02, longest_pause=0.32)
    tracker.fail_next(10**9)
    publisher.offer([page("a")])
    time.sleep(0.7)
    # Attempts at 0, 20, 60, 140, 300 and 620 ms; a slow machine makes fewer.
    assert tracker.num_calls <= 6
    publisher.close(0)


def test_what_could_not_be_published_is_counted(publisher, tracker):
    tracker.fail_next(10**9)
    publisher.offer([page("a"), page("b"), page("a", "newer")])
    started = time.monotonic()
    assert publisher.close(0.2) == 2
    assert time.monotonic() - started < 2
    tracker.fail_next(0)


def test_closing_tries_once_more_at_once(tracker):
    publisher = Publisher(tracker, EXPERIMENT, shortest_pause=60, longest_pause=60)
    tracker.fail_next(1)
    publisher.offer([page("a")])
    wait_until(lambda: tracker.num_calls == 1)
    started = time.monotonic()
    assert publisher.close(30) == 0
    assert time.monotonic() - started < 5


def test_closing_waits_as_long_as_pages_get_through():
    class SteadyTracker(MemoryTracker):
        def publish(self, experiment, page):
            time.sleep(0.2)
            super().publish(experiment, page)

    publisher = Publisher(SteadyTracker(), EXPERIMENT)
    publisher.offer([page(key) for key in "abcdefghij"])
    assert publisher.close(1) == 0


def test_every_page_is_published_and_those_refused_are_listed_with_the_reason(tracker):
    for key in ("a", "c"):
        tracker.refuse(key)
    refused = publish_each(tracker, EXPERIMENT, [page(key) for key in "abcd"])
    assert list(tracker.pages(EXPERIMENT)) == ["b", "d"]
    assert {reason: [one.key for one in pages] for reason, pages in refused.items()} == {
        f"ValueError: the in-memory tracker was set to reject {key}": [key] for key in ("a", "c")
    }


def test_an_outage_ends_the_publishing_of_pages(tracker):
    tracker.fail_next(1)
    with pytest.raises(TrackerUnavailable):
        publish_each(tracker, EXPERIMENT, [page("a"), page("b")])


def test_a_reason_that_holds_for_many_pages_is_said_once(publisher, tracker, caplog, monkeypatch):
    def refuse(experiment, page):
        raise PrerequisiteMissing("the experiment was deleted")

    monkeypatch.setattr(tracker, "publish", refuse)
    publisher.offer([page(key) for key in "abc"])
    assert publisher.close(5) == 3
    (message,) = messages(caplog, logging.ERROR)
    assert message == "the tracker rejects the variant 'name': the experiment was deleted"


def test_a_page_that_is_refused_is_named_and_does_not_stop_the_others(publisher, tracker, caplog):
    tracker.refuse("bad")
    for _ in range(3):
        publisher.offer([page("bad", "decay=0.9 seed=1"), page("good")])
        wait_until(lambda: "good" in tracker.pages(EXPERIMENT))
    assert publisher.close(5) == 1
    (message,) = messages(caplog, logging.ERROR)
    assert "variant 'decay=0.9 seed=1'" in message
    assert "set to reject bad" in message


class SlowTracker(MemoryTracker):
    """Publishes only when it is let."""

    def __init__(self):
        super().__init__()
        self.entered, self.let = threading.Event(), threading.Event()

    def publish(self, experiment, page):
        self.entered.set()
        assert self.let.wait(5)
        super().publish(experiment, page)


def test_offering_never_waits_and_the_newest_page_wins():
    tracker = SlowTracker()
    publisher = Publisher(tracker, EXPERIMENT)
    publisher.offer([page("a", "first")])
    assert tracker.entered.wait(5)
    started = time.monotonic()
    for i in range(100):
        publisher.offer([replace(page("a"), name=f"name {i}")])
    assert time.monotonic() - started < 1
    assert publisher.close(0.05) == 1, "a page in flight is not published yet"
    tracker.let.set()
    assert publisher.close(5) == 0
    assert tracker.pages(EXPERIMENT)["a"].name == "name 99"
    assert tracker.num_calls == 2, "what was replaced while it waited is not sent"
