"""X-ray photoelectron spectroscopy: from vendor files to records of depth profiles."""
