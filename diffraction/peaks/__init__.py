"""Single reflections of in-situ series: line shapes, the (003) series, shifts, onsets."""
