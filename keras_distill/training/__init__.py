"""The training step: branches that are run once per batch, and weighted losses between them."""
