"""The worker process seen from Slicer: the process, its jobs and folders, what is installed, which
weights there are."""
