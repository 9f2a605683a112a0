"""Flags of phases: a cell's record, series of patterns, and whole patterns."""

from __future__ import annotations

from .flag import Flag, note

__all__ = ["FLAGS"]

FLAGS = (
    # --- the cell's record
    note("BEFORE_RECORD", "the frame lies before the cycler's record", "check clock and offset"),
    note("AFTER_RECORD", "the frame lies after the cycler's record", "check clock and offset"),
    note("PARTIAL", "only this share of the frame lies within the cycler's record", "nothing"),
    note("GAP", "the cycler's record pauses so long within the frame", "nothing"),
    note("STEP_CHANGE", "a step of the protocol ends within the frame", "nothing"),
    note("NO_VOLTAGE", "frames whose voltage is that of their neighbour", "check clock and offset"),
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
    note("ONE_DIRECTION", "only the sweep in this direction could refine the frame", "nothing"),
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
    note("WIDTH_TIED", "too weak for a width of its own: it has that of another line", "nothing"),
    note("HELD_MINOR_PHASE", "cell, size and texture of a faint or absent phase were held at their start", "nothing"),
    # --- whole patterns
    Flag(
        "POOR_FIT",
        "more than {threshold} of the signal is not described (weighted residual, background taken off)",
        "check phases, wavelength and zero shift",
        threshold=0.5,
    ),
    Flag("ENGINES_DIFFER", "the two engines are farther apart than the recipe allows", "see the largest differences"),
    Flag("PHASES_DIFFER", "the two engines found different phases", "look at the frame"),
    note("ENGINE", "what the engine itself says, in its words", "see the engine's manual"),
    note("WEAK_CONTRAST", "X-rays hardly see what this occupancy exchanges", "hold it, or measure with neutrons"),
    note(
        "INTENSITIES_NOT_REFINED",
        "intensities were partitioned (Le Bail), not refined (Pawley): errors know nothing of them",
        "measure with a finer step",
    ),
    note("INSTRUMENT_BIAS", "what was taken out of a value as the instrument's own bias", "nothing"),
    note("GEOMETRY", "what a part of the instrument's geometry was refined to", "nothing"),
)
