"""Hours of use in minutes: does the dashboard keep its memory, its speed and its temper? `make soak` runs it."""
