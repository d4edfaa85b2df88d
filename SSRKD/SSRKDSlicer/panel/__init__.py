"""The module's panel: a class per section, and :mod:`.panel`, which holds them together."""
