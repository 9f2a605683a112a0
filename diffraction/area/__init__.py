"""Images of area detectors: read by fabio and h5py, integrated by pyFAI, which only `library` and the readers load."""
