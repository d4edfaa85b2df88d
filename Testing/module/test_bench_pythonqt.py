"""The bench sees of Qt what PythonQt shows, and its objects live as long as PythonQt's."""

from __future__ import annotations

import pytest
import qt

from Testing.bench import application, faults
from Testing.bench.pythonqt import Inside
from Testing.slicer import facts


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


@pytest.mark.parametrize("fact", facts.read(), ids=lambda fact: fact["expression"])
def test_bench_exposed_facts_of_pythonqt_hold(slicer, fact):
    assert facts.difference(fact, "bench") == ""


def test_bench_exposed_facts_that_do_not_hold_are_named(slicer):
    fact = {"expression": "qt.QLabel('a').text", "outcome": "'b'"}
    assert facts.difference(fact, "bench") == "qt.QLabel('a').text: 'a' instead of 'b'"
    assert facts.difference({**fact, "bench": "'a'"}, "bench") == ""
    assert facts.difference({**fact, "bench": "'a'"}, "3D Slicer")


def test_bench_exposed_is_what_headers_name_and_nothing_of_the_benchs_own(slicer):
    import ctk

    section, combo = ctk.ctkCollapsibleButton(), slicer.qMRMLNodeComboBox()
    own = [(section, "_fold"), (combo, "_combo"), (combo, "_refill"), (slicer.app, "layouts")]
    own += [(slicer.app.layoutManager(), name) for name in ("grab", "reset", "view_node")]
    for widget, name in own:
        with pytest.raises(AttributeError, match=f"no attribute named '{name}'"):
            getattr(widget, name)
        assert getattr(Inside(widget), name) is not None
    for widget, name in ((combo, "addNode"), (slicer.app, "processEvents"), (section, "toggle")):
        assert callable(getattr(widget, name))
    assert section.sizeHint.width() > 0  # a property, though the stand-in has a method
    mine = type("Mine", (ctk.ctkCollapsibleButton,), {"fold": lambda self: "folds"})()
    assert mine.fold() == "folds"


@pytest.mark.parametrize("kind", ["ctkCollapsibleButton", "ctkCollapsibleGroupBox"])
def test_bench_folded_sections_hide_what_is_added_to_them(slicer, kind):
    """And unfold what was hidden in them hidden, as CTK's do."""
    import ctk

    section, before = getattr(ctk, kind)(), qt.QLabel()
    before.setParent(section)
    before.hide()
    section.show()
    section.collapsed = True
    added = qt.QLabel()
    added.setParent(section)
    application.settle()
    assert not added.visible
    section.collapsed = False
    assert added.visible and not before.visible
