"""Virtual knees: a population, its poses, soft tissue, and radiographs of them."""
