"""The networks: plain ``torch.nn`` modules, each in the file named after it."""
