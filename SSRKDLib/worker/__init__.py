"""The worker: a process that runs networks for a program that must stay responsive."""
