"""A second, independent evaluation of search specifications, which judges QueryPage of the Oracle sandbox."""
