"""Flags of edges: lines and losses of the electron microscope, and X-ray absorption."""

from __future__ import annotations

from .flag import Flag, note

__all__ = ["FLAGS"]

FLAGS = (
    # --- edges and lines of the electron microscope
    Flag(
        "WINDOW_BOUND",
        "the window before this edge decides on its area: over the ensemble it scatters by more than {threshold} of it",
        "do not read amounts off it; a longer stretch before the edge would help",
        threshold=0.15,
    ),
    Flag(
        "NAME_DISAGREES",
        "the spectrum shows another edge than the name of its file or its title says",
        "look at the energy of the edge: were two files exchanged?",
        of_series=True,
    ),
    note(
        "AXIS_UNCALIBRATED",
        "no known edge calibrates the energy axis: energies are those of the file, within the error as given",
        "state what calibrates it: two known edges (calibration), or a reference (energy)",
        of_series=True,
    ),
    note(
        "PLURAL_SCATTERING",
        "L3/L2 depends on the thickness, through plural scattering, which was not taken out",
        "read valences off the shift of L3; compare places of one thickness only",
    ),
    note(
        "BACKGROUND_TAKEN_OFF",
        "another program took the background off: what that is uncertain by is not in the errors",
        "give the spectrum as measured",
        of_series=True,
    ),
    # --- scans over an absorption edge
    note("COLUMN_TWICE", "a column's name stands twice in the file; which one is used, as given", "check the numbers"),
    note("STALE_RANGE", "the header states the range of some other scan", "nothing; the data's own range is used"),
    note("HEADER", "the file breaks a rule of its format that no number rests on", "mend what wrote it"),
    Flag("SCAN_STOPPED", "so many points of the scan were measured", "measure it again if its end is needed"),
    Flag("OTHER_RATIO", "a ratio in the file is not that of its own columns", "ask how the file was processed"),
    note("FIXED_STEP", "the step in the file was set by its user, not fitted", "use the one stated here"),
    Flag(
        "SHORT_PRE_EDGE",
        "the scan leaves too little for a line before the edge",
        "measure from farther below, or state ranges that the scan has",
    ),
    Flag(
        "SHORT_POST_EDGE",
        "the scan leaves too little for a line after the edge",
        "measure farther up, or state ranges that the scan has",
    ),
    Flag(
        "NEGATIVE_EDGE",
        "the signal over the flux falls at the edge: a dark level is in the readings",
        "measure it without beam and state it: dark",
    ),
    note(
        "DWELL_CHANGED",
        "all readings jump together by the factors given: the counting time changed inside the scan",
        "nothing where dark levels are small: the ratio does not see it; the noise changes",
    ),
    Flag(
        "SUM_UNEQUAL",
        "a sum made by the control program holds different numbers of sweeps at different energies",
        "use the single sweeps",
    ),
    note("SUM_LEFT_OUT", "the sum of sweeps that are used one by one is left out", "nothing"),
    note(
        "MONITOR_STRUCTURE",
        "the flux itself changes at the edge, by as much as given: what monitor and sample see differently stays",
        "compare with a scan of a photodiode: photodiode",
    ),
    Flag(
        "MONITORS_DISAGREE",
        "two monitors differ along the scan by as much as given: the slope of the spectrum depends on which is taken",
        "find out which sees the beam as the sample does: monitor",
    ),
    Flag(
        "WRONG_MONITOR", "the monitor that is used follows the edge more than the other one", "use the other: monitor"
    ),
    note("ENCODER_OFFSET", "two columns of energy differ by as much as given", "state which is meant, or shift_eV"),
    note(
        "GLITCH",
        "single points lie far from where their neighbours put them",
        "look at them: they were left out or replaced by their neighbours",
    ),
    note(
        "YIELDS_DISAGREE",
        "electron and fluorescence yield differ in their maxima or forms: depth, saturation, or another thing",
        "say which one the numbers are of; do not compare samples across them",
    ),
    Flag(
        "SUBSTRATE_SIGNAL",
        "the maximum lies where the C=O pi* of adhesive carbon tape does",
        "measure a blank tape; take C=O of the tape as a competing assignment",
    ),
    note("GAIN_DRIFT", "repeats differ in height by as much as given; it is taken out before merging", "nothing"),
    Flag(
        "DOSE",
        "repeats change from one to the next, beyond gain, shift and slope: the beam changes the sample",
        "measure with less beam; extrapolate to none",
    ),
    Flag(
        "NOT_ALIGNED",
        "energies could not be put on those of the first sample, for the reason given",
        "measure a reference at the same time; until then the error is that of two scans",
    ),
    note(
        "SURFACE_ONLY",
        "electrons come from the topmost few nanometres, where four-coordinate boron of minerals had become "
        "three-coordinate: a low share is no proof of what lies beneath",
        "measure a fluorescence yield too, an inverse partial one where the detector resolves energies",
    ),
    Flag("EDGE_DIFFERS", "the file names another edge than is analysed", "check element and edge"),
    Flag("NOT_NORMALISED", "the spectrum could not be normalised, for the reason given", "state ranges it has"),
)
