"""What every room takes as given: sourced records, units, settings, and one kind of input error."""
