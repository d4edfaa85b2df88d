"""Learning: cohorts on disk, samples, losses and the training loop."""
