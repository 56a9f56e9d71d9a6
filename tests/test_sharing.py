"""Content-based sharing: Figure 3, the bounds, the slow twin, and what the random scan must find by theory."""
