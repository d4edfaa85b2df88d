"""The bench sees of Qt what PythonQt shows, and its objects live as long as PythonQt's."""

from __future__ import annotations

import qt

from Testing.bench import application, faults


def test_bench_lifetime_of_a_sender_that_a_slot_lets_go_of_is_a_fault(slicer):
    """Whether it has a parent or is kept elsewhere makes the difference."""
    kept = {}

    def let_go():
        kept.clear()

    def fire(timer):
        kept["timer"] = timer
        timer.connect("timeout()", let_go)
        timer.start(0)
        del timer
        application.settle()
        while kept:
            application.settle()
        return faults.take()

    parent = qt.QObject()
    assert ["lost its last reference" in text for text in fire(qt.QTimer())] == [True]
    assert fire(qt.QTimer(parent)) == []
    other = qt.QTimer()
    assert fire(other) == []
