"""Carrying a lake's closed files between a directory and a bucket; what a store is stands in `storage`."""
