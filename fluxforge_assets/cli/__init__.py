"""Commands of the assets, one file each; a command imports what it needs when it is run."""
