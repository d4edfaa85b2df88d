"""Files that nobody would make: known ones replayed, new ones made at random."""
