"""Flags of least squares, of noise and of what was left out, of amounts, energies and surveys."""

from __future__ import annotations

from .flag import Flag, note

__all__ = ["FLAGS"]

FLAGS = (
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
    note(
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
    note(
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
    note(
        "POINTS_MASKED",
        "so many points are negative or no numbers; they were left out of the fit and are gaps in arrays and figures",
        "see the notes for their places; if there are more of them, ask what wrote the file",
    ),
    note(
        "PIXELS_SATURATED",
        "so many pixels of the image are saturated and left out; where they are more than 2 in 1000 of a ring's, the "
        "ring is left out there",
        "expose for a shorter time; saturated_from says from which count on",
    ),
    note(
        "RINGS_GRAINY",
        "in this share of the bins pixels of a ring differ by more than counts do, as spots of single grains do: there "
        "errors are those of this scatter",
        "nothing; turn the sample while it is measured, or grind it finer",
    ),
    Flag(
        "RINGS_UNEVEN",
        "in a quarter of the rings pixels differ by more than {threshold} of their mean, as given, beyond what counts "
        "do: the rings do not lie where the geometry says, or they are spots",
        "look at the image: is it turned against its geometry (orientation), is it of another distance or sample?",
        threshold=0.5,
        of_series=True,
    ),
    note(
        "ERRORS_AZIMUTHAL",
        "the pixels of the image are no counts, or have this factor times the variance of counts: errors are those of "
        "the scatter around each ring",
        "nothing; errors = 'poisson' where the rings are spotty and the detector counts",
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
    note("FRAMES_LEFT_OUT", "frames that the recipe leaves out", "nothing"),
    Flag(
        "NOT_COUNTS",
        "the intensities are taken for counts and scatter the given number of times as much",
        'noise = "scaled", or the file as it was measured',
        of_series=True,
    ),
    note(
        "NOISE_UNKNOWN",
        "whether the intensities are counts, or with noise = scaled whether neighbours go together, could not be told: "
        "lines leave too few points between them; scaled errors are then wide",
        "give the full range; make sure that the file holds counts",
        of_series=True,
    ),
    note(
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
    note("NOT_DETECTED", "the amount is not above zero beyond its error: it has an upper limit", "use the limit"),
    note("NOT_DETECTED_SHAPE_HELD", "too weak for a shape of its own, which was held", "nothing"),
    Flag("NEGATIVE_FRACTION", "the mean amount lies far below zero: the model is wrong", "check the components"),
    note("PRESENT_FROM_START", "there from the first level on: no onset", "nothing"),
    note("NEVER_GONE", "still there at the last level", "nothing"),
    note("NEVER_SATURATES", "still changing at the last level", "etch deeper for its end"),
    note("ONSET_OPEN", "the levels set no earliest onset", "read the interval, not the value"),
    note("SATURATION_OPEN", "the levels set no latest saturation", "read the interval, not the value"),
    note("GONE_OPEN", "the levels set no latest end", "read the interval, not the value"),
    note("SETTLED_OPEN", "the levels set no latest settling", "read the interval, not the value"),
    Flag(
        "POOR_PROFILE_MODEL",
        "no model of a profile fits the amounts within their errors (reduced chi-square as given): wider intervals",
        "look at the profile: an outlier, or a course that is no ramp, step or decay",
    ),
    note("AMBIGUOUS_MODEL", "another model of the profile fits nearly as well", "see the alternatives"),
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
    note(
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
    note(
        "ELEMENT_UNCERTAIN",
        "the lines of this element leave its presence open: its probability is as given",
        "measure its strongest line in a region of its own",
    ),
    note("ELEMENT_LEFT_OUT", "no amount is stated of this element that is there", "see the notes for the reason"),
    Flag("OUT_OF_RANGE", "the value lies outside the range in which its law holds", "do not use it"),
)
