"""zvr_viz: pictures of what happens inside a restoration."""
