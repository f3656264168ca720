"""Using trained weights: predictions on images of a user, as JSON, pictures and a page."""
