"""What the SSRKD module of 3D Slicer is made of; see SSRKD.py."""
