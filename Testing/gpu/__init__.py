"""What needs a GPU or a package that has to be built for one: ``make gpu-check`` runs it all.

Everywhere else these tests are skipped, with the reason; stand-ins prove the adapters there.
"""
