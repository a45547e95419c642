"""The Models tab: what is on the shelf, getting more, and its routes; the page's part is models.js."""
