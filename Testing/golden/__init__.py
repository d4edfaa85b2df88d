"""The results of today's code, kept and compared with those of tomorrow's (see ``freeze.py``)."""
