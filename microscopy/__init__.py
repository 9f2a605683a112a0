"""Images of the electron microscope: the lattices they show, how sure that is, and the layers at a surface."""
