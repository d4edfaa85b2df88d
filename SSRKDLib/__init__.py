"""SSRKDLib: four bones of the knee from two radiographs (the part that is not Slicer).

For scripts, the package gives ``read_rig``, ``read_exposures``, ``KneeModel``, ``reconstruct``,
``compare`` and ``evaluate``. Each is imported when it is first used, so that importing the package
costs nothing.
"""

__version__ = "0.1.0"

#: Public name to module and name there.
_PUBLIC = {
    "read_rig": ("radiographs.rig_file", "read_rig"),
    "read_exposures": ("radiographs.exposure", "read_exposures"),
    "KneeModel": ("models.knee_model", "KneeModel"),
    "reconstruct": ("reconstruction.radiographs", "reconstruct"),
    "compare": ("evaluation.comparison", "compare_knees"),
    "evaluate": ("evaluation.cohort", "evaluate_cases"),
}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'SSRKDLib' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _PUBLIC[name]
    return getattr(import_module(f"SSRKDLib.{module}"), attribute)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
