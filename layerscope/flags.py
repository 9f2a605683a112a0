"""Every flag that a record may carry: what it says, what to do about it, from which value on, and whether it warns.

One list for all techniques. A flag of a record is a name of this list, alone or with a detail: ``AT_BOUND:B_fwhm``.
A record with a suspicious flag has the status ``warning``; a note says what a reader should know and leaves it ``ok``.

A package that brings a technique of its own names flags that are its own ``X_...`` and lists them as `Flag` in the
attribute ``flags`` of its pipeline; all others it takes from here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "FLAGS",
    "Flag",
    "derived_flags",
    "dispersion_flag",
    "gross_flag",
    "inherited_flags",
    "name_of",
    "status_of",
    "threshold",
]

_FORM = re.compile(r"[A-Z][A-Z0-9_]*(:.+)?", re.DOTALL)
_OWN = "X_"  # flags of packages from outside
_GROSS_EXCESS = 10.0  # variance of the residual over that of the noise, below which no misfit is gross
_NO_COUNTS = 1e4  # reduced chi-square beyond which errors from the stated noise are a hundred times too small
_OF_LEVEL = re.compile(r"RESIDUAL_STRUCTURE:\d+|(AT_BOUND|OVERDISPERSED):.*\[\d+\]")


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes
    ----------
    name : str
        Capitals, digits and underscores.
    says, do : str
        What it says of the record, its detail included, and what to do about it; ``{threshold}`` stands for the value.
    severity : {"note", "suspicious"}
        Whether a record with it warns.
    threshold : float or None
        Value from which on it is set, for those that one number decides.
    of_series : bool
        Set on a series, it holds for every level that was fitted with it.
    """

    name: str
    says: str
    do: str
    severity: Literal["note", "suspicious"] = "suspicious"
    threshold: float | None = None
    of_series: bool = False

    @property
    def meaning(self) -> str:
        """What it says, with the value from which on it does."""
        return self.says if self.threshold is None else self.says.format(threshold=f"{self.threshold:g}")


def _note(name: str, says: str, do: str, threshold: float | None = None, *, of_series: bool = False) -> Flag:
    return Flag(name, says, do, "note", threshold, of_series)


_LIST = (
    # --- any least squares
    Flag(
        "NOT_CONVERGED",
        "the least squares did not settle",
        "start closer, hold or tie parameters, leave out what the data do not show",
        of_series=True,
    ),
    Flag(
        "UNDETERMINED",
        "the data do not determine every free parameter: some errors are not known",
        "hold or tie parameters, or give the fit more data",
        of_series=True,
    ),
    Flag(
        "AT_BOUND",
        "a parameter ended at its bound, where it is held; its error is not stated",
        "ask whether the bound is meant; if not, widen it or hold the parameter",
        of_series=True,
    ),
    Flag(
        "FEW_DRAWS",
        "values and errors are means and scatter of draws of which fewer than {threshold} are effective (how many, as "
        "given), or whose halves differ: errors are made wider, and not exact",
        "hold or tie what the data do not show, or narrow its bounds",
        threshold=40.0,
        of_series=True,
    ),
    Flag(
        "OVERDISPERSED",
        "reduced chi-square, as given (of one level, if its number follows), is more than {threshold} of its standard "
        "deviations above 1: the model leaves out something that the data show, or the noise is larger than stated; "
        "errors not scaled by it are too small",
        'look at the residual: add what is missing; noise = "scaled" widens errors where the intensities are no counts',
        threshold=4.0,
        of_series=True,
    ),
    Flag(
        "GROSS_MISFIT",
        "the model does not describe the data: more than {threshold} of the signal above the background is left over "
        "(weighted), far beyond the noise and alike at neighbouring points; or the noise is many times the stated one. "
        "The record is failed: it states no value, limit or reference, and its curves are kept",
        "look at the figure: a line that no component can reach, a missing one, or intensities that are no counts",
        threshold=0.25,
        of_series=True,
    ),
    _note(
        "UNDERDISPERSED",
        "reduced chi-square, as given, is more than {threshold} of its standard deviations below 1: the intensities "
        "scatter less than counts, as smoothed or rescaled ones do; errors are too large",
        'take the file as it was measured, or noise = "scaled"',
        threshold=4.0,
        of_series=True,
    ),
    Flag(
        "RESIDUAL_STRUCTURE",
        "neighbouring residuals (of the level given, or of the sum of all levels) agree more often than noise does, "
        "p < {threshold}: a line, a shape or the background is wrong",
        "look at the residual: add a component, free a width, try another background",
        threshold=1e-3,
        of_series=True,
    ),
    Flag(
        "PRIOR_CONFLICT",
        "the data pull a parameter, as given, away from what was known of it by more than {threshold} standard errors: "
        "what the model lacks is taken for something else, and amounts may be off by more than their errors",
        "look for what is missing; take the numbers for a description only",
        threshold=3.0,
        of_series=True,
    ),
    _note(
        "CORRELATED",
        "two parameters trade places: their correlation, as given, is beyond ±{threshold}",
        "read their errors together, or tie one to what is known of it",
        threshold=0.95,
    ),
    Flag(
        "OUTLIER",
        "the signal of a level is {threshold} times smaller or larger than that of both neighbours",
        "look at the spectrum: something other than the profile happened there; leave the level out if so",
        threshold=3.0,
    ),
    # --- what was left out, and noise
    _note(
        "POINTS_MASKED",
        "so many points are negative or no numbers; they were left out of the fit and are gaps in arrays and figures",
        "see the notes for their places; if there are more of them, ask what wrote the file",
    ),
    Flag(
        "ZERO_TAIL",
        "the file ends in zeros where counts stood before: the scan was stopped, or the file copied in half; the zeros "
        "were cut off",
        "copy the file again; if the scan was stopped, nothing",
    ),
    Flag(
        "FURTHER_BAND",
        "a band that the table of the edge does not know, as given, was added because BIC wants it: amounts of its "
        "neighbours depend on where it is",
        "name it in the recipe's bands, or look what it belongs to",
        of_series=True,
    ),
    Flag("LEVELS_LEFT_OUT", "so many levels of the file could not be used", "see their failed records and the notes"),
    Flag("REGIONS_LEFT_OUT", "regions that could not be fitted are missing here", "see their failed records"),
    Flag("FRAMES_FAILED", "frames that could not be used", "see their failed records"),
    _note("FRAMES_LEFT_OUT", "frames that the recipe leaves out", "nothing"),
    Flag(
        "NOT_COUNTS",
        "the intensities are taken for counts and scatter the given number of times as much",
        'noise = "scaled", or the file as it was measured',
        of_series=True,
    ),
    _note(
        "NOISE_UNKNOWN",
        "whether the intensities are counts, or with noise = scaled whether neighbours go together, could not be told: "
        "lines leave too few points between them; scaled errors are then wide",
        "give the full range; make sure that the file holds counts",
        of_series=True,
    ),
    _note(
        "NOISE_CORRELATED",
        "neighbouring points go together: smoothed or interpolated data; the noise is that of sums over many points",
        "take the file as it was measured",
        of_series=True,
    ),
    # --- amounts and depth profiles
    Flag(
        "NO_DATA",
        "less than {threshold} of the area of this component's line lies within the data: it was left out of the fit, "
        "and nothing is stated of it",
        "measure or fit a wider range, bound its position, or leave the component out",
        threshold=0.3,
        of_series=True,
    ),
    Flag(
        "TIE_OUT_OF_BOUNDS",
        "a parameter that is tied to others ended where its shape has no meaning",
        "mend the tie, or bound what it rests on",
        of_series=True,
    ),
    Flag(
        "OTHER_MINIMUM",
        "so many other places of the lines fit hardly worse (chi-square at most {threshold} higher) and change a share "
        "by more than its error; that is part of the error, see the alternatives",
        "bound the positions that you know, give the charge reference, or measure longer",
        threshold=4.0,
        of_series=True,
    ),
    Flag(
        "OTHER_SHAPE",
        "asymmetric lines fit better (probability above {threshold}) and change a share by more than its error; that "
        "is part of the error, see the alternatives",
        "state the shape of the lines",
        threshold=0.95,
        of_series=True,
    ),
    Flag(
        "OTHER_WIDTHS",
        "widths that are less alike than stated fit better (probability above {threshold}) and change a share by more "
        "than its error; that is part of the error, see the alternatives",
        "state how alike the widths are (like_spread), or give each its own",
        threshold=0.7,
        of_series=True,
    ),
    _note("NOT_DETECTED", "the amount is not above zero beyond its error: it has an upper limit", "use the limit"),
    _note("NOT_DETECTED_SHAPE_HELD", "too weak for a shape of its own, which was held", "nothing"),
    Flag("NEGATIVE_FRACTION", "the mean amount lies far below zero: the model is wrong", "check the components"),
    _note("PRESENT_FROM_START", "there from the first level on: no onset", "nothing"),
    _note("NEVER_GONE", "still there at the last level", "nothing"),
    _note("NEVER_SATURATES", "still changing at the last level", "etch deeper for its end"),
    _note("ONSET_OPEN", "the levels set no earliest onset", "read the interval, not the value"),
    _note("SATURATION_OPEN", "the levels set no latest saturation", "read the interval, not the value"),
    _note("GONE_OPEN", "the levels set no latest end", "read the interval, not the value"),
    _note("SETTLED_OPEN", "the levels set no latest settling", "read the interval, not the value"),
    Flag(
        "POOR_PROFILE_MODEL",
        "no model of a profile fits the amounts within their errors (reduced chi-square as given): wider intervals",
        "look at the profile: an outlier, or a course that is no ramp, step or decay",
    ),
    _note("AMBIGUOUS_MODEL", "another model of the profile fits nearly as well", "see the alternatives"),
    # --- energies
    Flag(
        "CHARGE_REFERENCE_LOST",
        "the reference line is lost in the noise of this level: its shift is guessed from the others",
        "do not read positions off this level",
    ),
    Flag(
        "CHARGE_REFERENCE_MISFIT",
        "the fit of the region with the charge reference visibly misses the data: what rests on its shifts may be off",
        "mend the model of the region named",
        of_series=True,
    ),
    Flag(
        "SHIFT_NOT_IDENTIFIED",
        "levels shift with a spread above {threshold} of the distance of their lines, or freely with lines closer than "
        "they are wide, and no reference line tells by how much: which line is which is not known, no share is certain",
        "name a charge reference, or give the lines' widths and places closer bounds",
        threshold=0.3,
        of_series=True,
    ),
    _note(
        "OVERLAP",
        "a line of another element lies within the error of this one",
        "see the notes; name it if it is there",
    ),
    Flag(
        "ANGLES_DISAGREE",
        "the emission angles do not agree on one thickness (chi-square as given, p < {threshold}): the error holds "
        "what they disagree by",
        "leave out large angles; ask whether the layer is closed and flat, and what lies on it",
        threshold=0.01,
    ),
    # --- surveys
    Flag(
        "UNEXPLAINED_LINE",
        "a peak at this energy (as measured) is explained by no element: the composition lacks it",
        "see the figure; name elements that it could be, or exclude some that hide it",
    ),
    _note(
        "ELEMENT_UNCERTAIN",
        "the lines of this element leave its presence open: its probability is as given",
        "measure its strongest line in a region of its own",
    ),
    _note("ELEMENT_LEFT_OUT", "no amount is stated of this element that is there", "see the notes for the reason"),
    Flag("OUT_OF_RANGE", "the value lies outside the range in which its law holds", "do not use it"),
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
    _note(
        "AXIS_UNCALIBRATED",
        "no known edge calibrates the energy axis: energies are those of the file, within the error as given",
        "state what calibrates it: two known edges (calibration), or a reference (energy)",
        of_series=True,
    ),
    _note(
        "PLURAL_SCATTERING",
        "L3/L2 depends on the thickness, through plural scattering, which was not taken out",
        "read valences off the shift of L3; compare places of one thickness only",
    ),
    _note(
        "BACKGROUND_TAKEN_OFF",
        "another program took the background off: what that is uncertain by is not in the errors",
        "give the spectrum as measured",
        of_series=True,
    ),
    # --- scans over an absorption edge
    _note("COLUMN_TWICE", "a column's name stands twice in the file; which one is used, as given", "check the numbers"),
    _note("STALE_RANGE", "the header states the range of some other scan", "nothing; the data's own range is used"),
    _note("HEADER", "the file breaks a rule of its format that no number rests on", "mend what wrote it"),
    Flag("SCAN_STOPPED", "so many points of the scan were measured", "measure it again if its end is needed"),
    Flag("OTHER_RATIO", "a ratio in the file is not that of its own columns", "ask how the file was processed"),
    _note("FIXED_STEP", "the step in the file was set by its user, not fitted", "use the one stated here"),
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
    _note(
        "DWELL_CHANGED",
        "all readings jump together by the factors given: the counting time changed inside the scan",
        "nothing where dark levels are small: the ratio does not see it; the noise changes",
    ),
    Flag(
        "SUM_UNEQUAL",
        "a sum made by the control program holds different numbers of sweeps at different energies",
        "use the single sweeps",
    ),
    _note("SUM_LEFT_OUT", "the sum of sweeps that are used one by one is left out", "nothing"),
    _note(
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
    _note("ENCODER_OFFSET", "two columns of energy differ by as much as given", "state which is meant, or shift_eV"),
    _note(
        "GLITCH",
        "single points lie far from where their neighbours put them",
        "look at them: they were left out or replaced by their neighbours",
    ),
    _note(
        "YIELDS_DISAGREE",
        "electron and fluorescence yield differ in their maxima or forms: depth, saturation, or another thing",
        "say which one the numbers are of; do not compare samples across them",
    ),
    Flag(
        "SUBSTRATE_SIGNAL",
        "the maximum lies where the C=O pi* of adhesive carbon tape does",
        "measure a blank tape; take C=O of the tape as a competing assignment",
    ),
    _note("GAIN_DRIFT", "repeats differ in height by as much as given; it is taken out before merging", "nothing"),
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
    _note(
        "SURFACE_ONLY",
        "electrons come from the topmost few nanometres, where four-coordinate boron of minerals had become "
        "three-coordinate: a low share is no proof of what lies beneath",
        "measure a fluorescence yield too, an inverse partial one where the detector resolves energies",
    ),
    Flag("EDGE_DIFFERS", "the file names another edge than is analysed", "check element and edge"),
    Flag("NOT_NORMALISED", "the spectrum could not be normalised, for the reason given", "state ranges it has"),
    # --- the cell's record
    _note("BEFORE_RECORD", "the frame lies before the cycler's record", "check clock and offset"),
    _note("AFTER_RECORD", "the frame lies after the cycler's record", "check clock and offset"),
    _note("PARTIAL", "only this share of the frame lies within the cycler's record", "nothing"),
    _note("GAP", "the cycler's record pauses so long within the frame", "nothing"),
    _note("STEP_CHANGE", "a step of the protocol ends within the frame", "nothing"),
    _note("NO_VOLTAGE", "frames whose voltage is that of their neighbour", "check clock and offset"),
    # --- phases of a series
    Flag(
        "GHOST",
        "the criterion wanted a line or phase that its share of the intensity does not support",
        "look at the frame: is something there that no component describes?",
    ),
    Flag(
        "DIRECTION_DEPENDENT",
        "forward and backward differ by more than {threshold} standard errors, or find different phases",
        "take neither on trust: look at the frame, start closer",
        threshold=3.0,
    ),
    _note("ONE_DIRECTION", "only the sweep in this direction could refine the frame", "nothing"),
    Flag(
        "CHUNKS_DISAGREE",
        "two processes found different phases in the frame at which their parts meet",
        "look at the frame, or run it with one process",
    ),
    Flag(
        "PHASE_BY_PERSISTENCE",
        "a phase was put in or taken out because the frames around say so",
        "look at the frame: what the rule took out is stated as an amount",
    ),
    Flag(
        "TRIAL_FAILED",
        "the engine did not finish the fit with this phase: that it is absent is no finding",
        "raise time_limit_s, or start the phase closer",
    ),
    Flag(
        "BROAD_PHASE",
        "the lines of a phase are more than {threshold} degrees wide: background and noise pass for them",
        "leave the phase out, or hold its size",
        threshold=2.0,
    ),
    Flag(
        "UNNAMED_LINE", "a line fits no declared component", "see the notes; declare it or cut it off", of_series=True
    ),
    Flag(
        "NAME_UNCERTAIN",
        "which phase these lines are has a probability below {threshold}: fractions stand once for each naming, and "
        "none of them is the result",
        "see the alternatives; exclude phases that cannot be there, give the voltage, or read the lines as stacks",
        threshold=0.95,
    ),
    Flag(
        "LINE_SHAPE",
        "the line of this phase needs a second one beside it, or is broader than the phase's lines are: it has not the "
        "shape of the model, and fractions may be off by several of their errors",
        "read the series as stacks, or look at the frames",
    ),
    Flag(
        "LINES_MERGED",
        "this line cannot be told from a stronger one in the frame and was given up: it has a limit",
        "use the sum of the two",
    ),
    Flag(
        "COMPONENTS_DIFFER",
        "phases that are compared were found in one of the samples only",
        "look at both samples; say which may be absent",
    ),
    Flag(
        "SHAPE_MISFIT",
        "the residuals show that lines, as given, have another shape than the model's, by more than {threshold} of "
        "their counts (how much, as given). Errors have a part model for it, and amounts may be off by more than that",
        "look at the residual; read layered intergrowths as stacks (stacking = true)",
        threshold=0.1,
    ),
    Flag(
        "STACKS_FIT_BETTER",
        "read as stacks of filled and empty layers the series has a BIC that is lower than with lines of their own, by "
        "as much as given, more than {threshold}: fractions by lines may be off by several of their errors",
        "take the shares of layers from the records of the stacks",
        threshold=10.0,
        of_series=True,
    ),
    Flag(
        "STACKS_ALIKE",
        "the amounts of two kinds of stacks trade places in this frame, with a correlation, as given, beyond "
        "±{threshold}: how much is which rests on the law of their order, and may be off by several of its errors",
        "take the sum of the two",
        threshold=0.75,
    ),
    Flag(
        "LINES_FIT_BETTER",
        "lines of their own have a BIC that is lower than that of stacks of filled and empty layers, by as much as "
        "given, more than {threshold}: shares of layers may be off by several of their errors",
        "take the fractions from the records of the lines",
        threshold=10.0,
        of_series=True,
    ),
    _note("WIDTH_TIED", "too weak for a width of its own: it has that of another line", "nothing"),
    _note("HELD_MINOR_PHASE", "cell, size and texture of a faint or absent phase were held at their start", "nothing"),
    # --- whole patterns
    Flag(
        "POOR_FIT",
        "more than {threshold} of the signal is not described (weighted residual, background taken off)",
        "check phases, wavelength and zero shift",
        threshold=0.5,
    ),
    Flag("ENGINES_DIFFER", "the two engines are farther apart than the recipe allows", "see the largest differences"),
    Flag("PHASES_DIFFER", "the two engines found different phases", "look at the frame"),
    _note("ENGINE", "what the engine itself says, in its words", "see the engine's manual"),
    _note("WEAK_CONTRAST", "X-rays hardly see what this occupancy exchanges", "hold it, or measure with neutrons"),
    _note(
        "INTENSITIES_NOT_REFINED",
        "intensities were partitioned (Le Bail), not refined (Pawley): errors know nothing of them",
        "measure with a finer step",
    ),
    _note("INSTRUMENT_BIAS", "what was taken out of a value as the instrument's own bias", "nothing"),
    _note("GEOMETRY", "what a part of the instrument's geometry was refined to", "nothing"),
    # --- images
    Flag(
        "NORMAL_UNCERTAIN",
        "the normal of the surface could not be measured by its boundaries",
        "give normal_deg",
    ),
    Flag("EDGE_NOT_MEASURED", "a boundary between two layers that are seen could not be placed", "see the profile"),
    Flag(
        "SIDES_DISAGREE",
        "the waves of the two neighbours end at different places: a gap or an overlap lies between them",
        "see the profile; the error holds the difference",
    ),
    _note(
        "VACUUM_BY_WHITE_NOISE",
        "vacuum was told from amorphous matter by the noise at the highest frequencies, which many cameras damp",
        "do not read vacuum off the map",
    ),
    Flag(
        "LAYER_UNSEEN",
        "no region shows this layer's lattice, so that its boundaries could not be looked for",
        "draw a region over it, or leave it out of the order",
    ),
    Flag(
        "LAYER_DISAGREES",
        "a region shows this layer, and the profile along the normal does not: one of them is wrong",
        "look at the profile and at the map; give the direction of the normal",
    ),
    _note(
        "STRAIN_ACROSS_PHASES",
        "the phase changes within the map of strain: where it does, and a window around, strain may be false",
        "read strain off inside one phase only",
    ),
    Flag("LAYER_MISSED", "a layer that other images of the sample show was not seen", "look at those images"),
    Flag("NO_LAYERS", "layers could not be measured, for the reason given", "see the reason"),
    _note(
        "NOT_INDEXABLE",
        "no phase of the library is seen, for the reason given: that is the answer, not a failure",
        "a thinner place, another zone axis, or the phase that is missing in the library",
    ),
    _note(
        "PHASE_AMBIGUOUS",
        "more than one phase is in the set that holds 95 % of the probability",
        "see what would decide in the notes: do not name one of them alone",
    ),
    _note("SCALE_BAR", "a burned-in scale bar was found; it and its letters are left out", "nothing"),
    _note("PIXELS_LEFT_OUT", "pixels that are no image were left out", "nothing, if they are few"),
    _note("PIXELS_OBLONG", "pixels are longer along one axis by the file", "check the file's units if that is news"),
    Flag(
        "SCALE_PRIOR_DECIDES",
        "which phase comes first rests on how well the size of the pixels is said to be known",
        "calibrate the image, or name a region of known lattice as internal standard",
    ),
    Flag(
        "SCALE_OFF",
        "the first answer asks for another size of the pixels than the file states",
        "check the calibration of the microscope",
    ),
    _note("ONE_FRINGE", "one spot alone: every phase with such a spacing stays possible", "look at another region"),
    _note("ONE_RING", "one ring alone: every phase with such a spacing stays possible", "look for a second ring"),
    _note("COLOURS_AVERAGED", "a picture in colours was turned into grey", "take the file of the microscope instead"),
    _note(
        "STACK_AVERAGED",
        "so many frames were averaged as they stand: drift between them blurs lattices",
        "name a frame, or align the stack first",
    ),
    Flag(
        "SCALE_DISAGREES",
        "another statement of the pixel size differs by more than {threshold}",
        "find out which is right: everything in nm follows from it",
        threshold=0.02,
    ),
)

FLAGS: Mapping[str, Flag] = {flag.name: flag for flag in _LIST}
"""Every flag by its name."""


def name_of(text: str) -> str:
    """Return the name of a flag as records have it, without its detail.

    Raises
    ------
    ValueError
        If it is not of the form NAME or NAME:detail, or its name is neither in the list nor begins with ``X_``.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(f"flag {text!r} is not of the form NAME or NAME:detail")
    name = text.partition(":")[0]
    if name not in FLAGS and not name.startswith(_OWN):
        raise ValueError(
            f"flag {name!r} is not in the list of flags (layerscope.flags); one of your own begins with X_"
        )
    return name


def _flag(text: str, own: Iterable[Flag]) -> Flag:
    name = name_of(text)
    for flag in own:
        if flag.name == name:
            return flag
    if name not in FLAGS:
        raise ValueError(f"flag {name!r} is not among the flags of its pipeline")
    return FLAGS[name]


def threshold(name: str) -> float:
    """Return the value from which on a flag is set.

    Raises
    ------
    KeyError
        If there is no such flag, or no single value decides on it.
    """
    found = FLAGS[name].threshold
    if found is None:
        raise KeyError(name)
    return found


def status_of(flags: Iterable[str], own: Sequence[Flag] = ()) -> Literal["ok", "warning"]:
    """Return the status of a record that worked: ``warning`` if a flag is suspicious.

    Parameters
    ----------
    flags : iterable of str
        As the record has them.
    own : sequence of Flag
        Flags of a pipeline from outside.

    Raises
    ------
    ValueError
        If a flag is not known.
    """
    severities = {_flag(text, own).severity for text in flags}
    return "warning" if "suspicious" in severities else "ok"


def inherited_flags(flags: Iterable[str], level: int | None = None, own: Sequence[Flag] = ()) -> tuple[str, ...]:
    """Return which flags of a series hold for the levels that were fitted with it.

    Parameters
    ----------
    flags : iterable of str
        Of the series.
    level : int, optional
        Place of the level: flags of this level alone, ``RESIDUAL_STRUCTURE:3``, ``AT_BOUND:B_area[3]`` and
        ``OVERDISPERSED:4.1[3]``, come too, without its number.
    own : sequence of Flag
        Flags of a pipeline from outside.
    """
    found = []
    for text in flags:
        if text == f"RESIDUAL_STRUCTURE:{level}":
            found.append("RESIDUAL_STRUCTURE")
        elif _OF_LEVEL.fullmatch(text):
            if text.endswith(f"[{level}]"):
                found.append(text.removesuffix(f"[{level}]"))
        elif _flag(text, own).of_series:
            found.append(text)
    return tuple(dict.fromkeys(found))


def derived_flags(flags: Mapping[str, Iterable[str]], own: Sequence[Flag] = ()) -> tuple[str, ...]:
    """Return the flags that a record inherits from those it was derived from: what is suspicious about each.

    Parameters
    ----------
    flags : mapping of str to iterable of str
        Flags of each parent, by what tells the parents apart: it comes first in the detail, where it is not empty.
    own : sequence of Flag
        Flags of a pipeline from outside.
    """
    found = []
    for label, texts in flags.items():
        for text in texts:
            if _flag(text, own).severity == "suspicious":
                name, _, detail = text.partition(":")
                found.append(":".join(part for part in (name, f"{label} {detail}".strip()) if part))
    return tuple(dict.fromkeys(found))


def dispersion_flag(redchi: float, freedom: int) -> tuple[str, ...]:
    """Return the flag of a reduced chi-square that the stated noise does not explain; none where it does.

    Its standard deviation is sqrt(2 / freedom).

    Parameters
    ----------
    redchi : float
    freedom : int
        Degrees of freedom.
    """
    away = (redchi - 1.0) / math.sqrt(2.0 / max(freedom, 1))
    if away > threshold("OVERDISPERSED"):
        return (f"OVERDISPERSED:{redchi:.3g}",)
    return (f"UNDERDISPERSED:{redchi:.3g}",) if away < -threshold("UNDERDISPERSED") else ()


def gross_flag(
    share: float, redchi: float, durbin_watson: float, *, scaled: bool = False, least: str = "GROSS_MISFIT"
) -> tuple[str, ...]:
    """Return the flag of a model that does not describe the data at all; none where it does.

    What is left over must be a good part of the signal, lie beyond the stated noise and be alike at neighbouring points
    (``2 / DW`` is the variance of a residual over that of its scatter): intensities that merely scatter more than they
    should, and levels without signal, are no misfit. Where errors are not scaled by the residual, a noise that is far
    off is one too.

    Parameters
    ----------
    share : float
        Root of the squared residuals over the squared signal above the background, both in units of sigma.
    redchi : float
        Reduced chi-square as given.
    durbin_watson : float
        Of the residual.
    scaled : bool, optional
        Whether the stated noise is only relative, so that reduced chi-square means nothing.
    least : str, optional
        Flag whose threshold the share has to exceed.
    """
    excess = 2.0 / max(durbin_watson, 1e-12)
    if not scaled:
        excess = min(excess, redchi)
    if excess > _GROSS_EXCESS and share > threshold(least):
        left = f"{100.0 * min(share, 1.0):.0f} % of the signal left over"
        return (f"GROSS_MISFIT:{left}, reduced chi-square {redchi:.3g}",)
    return (f"GROSS_MISFIT:reduced chi-square {redchi:.3g}",) if not scaled and redchi > _NO_COUNTS else ()
