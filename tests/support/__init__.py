"""Code that several tests share: the twin of the catalogue, dirty data, comparison."""
