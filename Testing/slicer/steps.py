"""All steps, in the order in which they run."""

from __future__ import annotations

from Testing.slicer import full_steps as full
from Testing.slicer import smoke_steps as smoke
from Testing.slicer.session import Step

STEPS = (
    Step("start-up", "Slicer starts with the module, which costs nothing yet", "smoke",
         smoke.start_up),
    Step("module", "The module is found, with title, category and help", "smoke",
         smoke.module_found),
    Step("facts", "PythonQt does what the bench takes for granted", "smoke",
         smoke.pythonqt_facts),
    Step("panel", "The panel opens, and all its sections", "smoke", smoke.panel_opens),
    Step("sample", "Slicer's Sample Data loads both samples; the panel chooses the radiographs",
         "smoke", smoke.sample_data, ("radiographs",)),
    Step("place", "Place in 3D: both radiographs stand on their detector planes", "smoke",
         smoke.placing, ("radiographs",)),
    Step("segment", "Segment marks the bones on both radiographs", "full", full.segment,
         ("radiographs",)),
    Step("masks", "Edit masks opens the Segment Editor on them; an edit is noticed", "smoke",
         smoke.segment_editor, ("radiographs",)),
    Step("ball", "A click into the calibration sphere gives the pixel size", "smoke", smoke.ball,
         ("radiographs", "scale")),
    Step("ruler", "Two clicks along a ruler give the pixel size", "smoke", smoke.ruler,
         ("radiographs", "scale")),
    Step("crop", "Crop puts a region on the radiograph, and takes it away again", "smoke",
         smoke.crop, ("radiographs",)),
    Step("cancel", "Cancel works in each stage and changes nothing", "full", full.cancel,
         ("radiographs", "log")),
    Step("reconstruct", "Reconstruct: four bones, their outlines on both radiographs", "full",
         full.reconstruct, ("radiographs", "results")),
    Step("compare", "Compare with CT: numbers and colours; the radiographs keep their views",
         "smoke", smoke.comparison, ("results", "compare")),
    Step("export", "Export writes STL, OBJ, PLY and a label map volume", "smoke", smoke.export,
         ("radiographs", "results")),
    Step("save", "The scene is saved, and comes back as it was", "smoke", smoke.save_and_load,
         ("radiographs", "results")),
    Step("close", "Close Scene: the panel is empty, and the next sample works", "smoke",
         smoke.close_scene, ("radiographs", "results")),
    Step("from-ct", "Reconstruct from CT: the bones lie in the CT", "full", full.from_ct,
         ("ct", "compare")),
    Step("simulate", "Simulate radiographs, Reconstruct: the bones lie in the CT", "full",
         full.simulate, ("radiographs", "ct", "compare")),
    Step("reload", "Another module and back; Reload: the panel works", "smoke",
         smoke.reload_module, ("radiographs", "installation")),
    Step("worker-missing", "A worker that cannot start is a sentence, not a crash", "smoke",
         smoke.worker_missing, ("radiographs", "log")),
    Step("worker-killed", "A worker that is killed is a sentence; the next click works", "smoke",
         smoke.worker_killed, ("radiographs", "log")),
    Step("quit", "The worker ends with Slicer", "smoke", smoke.end, ("radiographs",)),
)  # fmt: skip
