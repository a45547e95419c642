"""The film strip under the stage: scrub a run's steps, save a frame, fork, keep it, make a timelapse."""
