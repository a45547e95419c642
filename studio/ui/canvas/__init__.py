"""The studio's one canvas: painting masks over a picture, and painting codes into a token map."""
