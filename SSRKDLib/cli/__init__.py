"""The commands of ``python -m SSRKDLib``, one module each.

A command has two functions. ``add_parser`` adds its parser to argparse's sub-parsers object.
``run`` does what that parser read and returns the exit code, 0 where its text says nothing else.
One that takes long is also given ``progress``, called with stage, fraction done and message; what
that raises ends it. What cannot be used is an :class:`~SSRKDLib.core.errors.InputError`, and an
existing output is left alone then.

Not here: the work itself.
"""
