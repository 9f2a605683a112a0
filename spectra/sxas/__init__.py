"""Soft X-ray absorption: scans of O K, B K and transition-metal L edges, from beamline files to records."""
