"""The MRML scene: subject-hierarchy folders, frames, masks, parameters and layouts. Nothing of a
job or of the panel."""
