"""The structure of the repository: layers of modules, forbidden imports, names at the top."""
