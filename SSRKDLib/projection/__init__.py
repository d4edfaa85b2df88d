"""X-ray projection: volumes of attenuation to line integrals to detector counts.

``joseph`` projects any volume through any view (torch); ``tigre`` does the same on a GPU where
TIGRE is installed, and ``forward.project_view`` chooses between them; ``physics`` turns line
integrals into noisy counts and back; ``attenuation`` holds tissues, ``voxelise`` turns surfaces
into voxels, and ``voxel_knee`` makes whole legs around given bones: a simulator of another
recipe than the one the default weights were trained on.

Volumes hold linear attenuation in 1/mm, indexed ``[k, j, i]``, with an index-to-world affine in
LPS millimetres.
"""
