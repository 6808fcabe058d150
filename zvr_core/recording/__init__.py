"""From a run to a recording: what to keep (`choice`), when and how (`recorder`), how much it takes (`estimate`), going on (`resume`)."""
