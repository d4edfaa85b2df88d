"""Cases on disk: CTs with or without bone surfaces, made ready for training.

``prepare`` makes one case, ``layout`` reads and writes its folder, ``frame`` says where it lies,
``sampling`` draws its points with ``inside``'s exact test, ``splits`` deals cases out, ``inputs``
finds what to prepare and ``running`` does so for thousands.
"""
