"""What it costs: prices as of a date, bills, one-off and monthly costs, and what the two say together."""
