"""X-ray spectra of line scans and maps: net counts of elements, limits, and ratios by Cliff and Lorimer."""
