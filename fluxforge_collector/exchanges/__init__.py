"""Exchanges: feeds that turn what an exchange sends into records. An exchange knows no file."""
