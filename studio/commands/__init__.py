"""The commands that put layers together; a layer's own commands stand beside it."""
