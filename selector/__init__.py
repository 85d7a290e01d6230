"""What to do: the tree, the options, their quality and cost, one recommendation."""
