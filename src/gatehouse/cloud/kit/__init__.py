"""What every app of the cloud needs and no manual speaks of: no tables, no domain words."""
