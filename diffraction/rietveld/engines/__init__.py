"""The engines that refine: one interface, rietx in this process, GSAS-II in its own."""
