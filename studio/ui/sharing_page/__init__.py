"""What the owner sees of a share, and what guests see of their pictures."""
