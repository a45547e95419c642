"""What the job runner calls when a job is done: one file and one row per picture, before it is announced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from studio.errors import GalleryError
from studio.events import Finished
from studio.gallery.gallery import Gallery
from studio.jobs import Job


def recorder(gallery: Gallery) -> Callable[[Job, Finished], Finished]:
    """Return the function that stores a finished job's pictures and fills in their ids (`jobs.Record`).

    When a picture of a batch cannot be saved, those before it stay and are announced, with a note that says why;
    when none can, the GalleryError is raised and the job fails with it. A job that is made again after a crash finds
    what it had saved before, and saves the rest.
    """

    def record(job: Job, finished: Finished) -> Finished:
        records = [entry.id for entry in gallery.made_by(job.id)] if job.attempt > 1 else []
        for place, image in enumerate(finished.images):
            if place < len(records):
                continue
            try:
                entry = gallery.save(
                    image,
                    request=job.request,
                    seed=finished.seeds[place] if place < len(finished.seeds) else None,
                    facts=finished.facts_of(place),
                    job_id=job.id,
                    owner=job.owner,
                )
            except GalleryError as error:
                if not records:
                    raise
                left = len(finished.images) - place
                return _only(finished, records, f"{left} of {len(finished.images)} pictures were not saved: {error}")
            records.append(entry.id)
        return replace(finished, records=tuple(records))

    return record


def _only(finished: Finished, records: list[str], note: str) -> Finished:
    """The part of a result that was saved: what was not cannot be shown, sent on or downloaded later."""
    kept = len(records)
    return replace(
        finished,
        images=finished.images[:kept],
        seeds=finished.seeds[:kept],
        notes=(*finished.notes, note),
        records=tuple(records),
    )
