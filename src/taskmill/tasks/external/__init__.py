"""Workers outside of this program, in any language: claims with leases over HTTP, and actions that only they serve."""
