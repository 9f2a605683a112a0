"""What every technique reads and holds of a measurement: files, text, archives, formats, series and their noise."""
