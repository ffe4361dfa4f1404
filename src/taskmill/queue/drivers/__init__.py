"""Queue drivers, one file each, and the protocol they share."""
