"""How good models and methods are, measured on pictures that ship with the studio."""
