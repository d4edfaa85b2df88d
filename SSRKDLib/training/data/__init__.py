"""What is trained on: data modules, datasets, and the order in which items are drawn."""
