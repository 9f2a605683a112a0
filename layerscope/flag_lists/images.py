"""Flags of images."""

from __future__ import annotations

from .flag import Flag, note

__all__ = ["FLAGS"]

FLAGS = (
    # --- images
    Flag(
        "NORMAL_UNCERTAIN",
        "the normal of the surface could not be measured by its boundaries",
        "give normal_deg",
    ),
    Flag("LAYER_DOUBTFUL", "a map shows this layer, but no reflection of its own does", "see the profile"),
    Flag("EDGE_NOT_MEASURED", "a boundary between two layers that are seen could not be placed", "see the profile"),
    Flag(
        "SIDES_DISAGREE",
        "the waves of the two neighbours end at different places: a gap or an overlap lies between them",
        "see the profile; the error holds the difference",
    ),
    note(
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
    note(
        "STRAIN_ACROSS_PHASES",
        "the phase changes within the map of strain: where it does, and a window around, strain may be false",
        "read strain off inside one phase only",
    ),
    note(
        "COURSE_UNKNOWN",
        "a boundary could be placed, but not followed along the surface: neither roughness nor spread are stated",
        "a longer piece of surface, or more dose",
    ),
    Flag("LAYER_MISSED", "a layer that other images of the sample show was not seen", "look at those images"),
    Flag("NO_LAYERS", "layers could not be measured, for the reason given", "see the reason"),
    note(
        "NOT_INDEXABLE",
        "no phase of the library is seen, for the reason given: that is the answer, not a failure",
        "a thinner place, another zone axis, or the phase that is missing in the library",
    ),
    note(
        "PHASE_AMBIGUOUS",
        "more than one phase is in the set that holds 95 % of the probability",
        "see what would decide in the notes: do not name one of them alone",
    ),
    note("SCALE_BAR", "a burned-in scale bar was found; it and its letters are left out", "nothing"),
    note("PIXELS_LEFT_OUT", "pixels that are no image were left out", "nothing, if they are few"),
    note("PIXELS_OBLONG", "pixels are longer along one axis by the file", "check the file's units if that is news"),
    Flag(
        "SCALE_PRIOR_DECIDES",
        "which phase comes first rests on how well the size of the pixels is said to be known",
        "calibrate the image, or name a region of known lattice as internal standard",
    ),
    Flag(
        "STRENGTHS_DECIDE",
        "which phase comes first rests on strengths of spots, which thickness and focus turn; by their places alone "
        "another one would",
        "do not name one of them alone: a thinner place, a series of thickness or focus, another zone axis",
    ),
    note(
        "STRENGTHS_NARROW",
        "strengths of spots alone excluded the phases named, which by places are possible: they stay in the set",
        "a thinner place or another zone axis, if one of them matters",
    ),
    Flag(
        "SCALE_OFF",
        "the first answer asks for another size of the pixels than the file states",
        "check the calibration of the microscope",
    ),
    note("ONE_FRINGE", "one spot alone: every phase with such a spacing stays possible", "look at another region"),
    note("ONE_RING", "one ring alone: every phase with such a spacing stays possible", "look for a second ring"),
    note("COLOURS_AVERAGED", "a picture in colours was turned into grey", "take the file of the microscope instead"),
    note(
        "STACK_AVERAGED",
        "so many frames were averaged as they stand, since their drift could not be measured: it blurs lattices",
        "name a frame, or align the stack first",
    ),
    note("STACK_ALIGNED", "so many frames were moved back by their drift and averaged", "nothing"),
    Flag(
        "SCALE_DISAGREES",
        "another statement of the pixel size differs by more than {threshold}",
        "find out which is right: everything in nm follows from it",
        threshold=0.02,
    ),
)
