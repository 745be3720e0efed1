"""Files that can be trusted: whole at their final names, listed in a manifest, checked against their input."""
