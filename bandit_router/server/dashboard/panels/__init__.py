"""The panels of the overview: from figures to charts and tables, one file for each group."""
