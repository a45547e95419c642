"""What can be done with a run that has been made: fork it, save a frame, make a film, keep it."""
