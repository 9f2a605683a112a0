"""Maps of phases over an image, and the edges, thickness and roughness of the layers at a surface."""
