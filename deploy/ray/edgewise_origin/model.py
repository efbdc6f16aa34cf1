"""Runs a published version on ONNX Runtime, with several requests in one run."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from .errors import OriginError
from .oip import Arrays
from .repository import Manifest, Repository

logger = logging.getLogger("ray.serve")


@dataclass
class Job:
    """One request: arrays that fit the model, and the names of the requested outputs."""

    feeds: Arrays
    outputs: list[str]


Outcome = Arrays | OriginError


class Model:
    """A session. Loading and running it block, so call them in a thread."""

    def __init__(self, repository: Repository, manifest: Manifest, providers: Sequence[str], threads: int):
        self.max_batch_size = manifest.max_batch_size
        self.row_wise = manifest.row_wise
        self.label = f"{manifest.name}@{manifest.version}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        path = repository.folder(manifest) / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(path), options, providers=select_providers(providers))
        logger.info("loaded %s on %s", self.label, ", ".join(self.session.get_providers()))

    def run(self, job: Job) -> Outcome:
        try:
            return dict(zip(job.outputs, self.session.run(job.outputs, job.feeds), strict=True))
        except InvalidArgument as error:
            logger.warning("%s refused an input: %s", self.label, error)
            return OriginError("invalid_request", "the model does not accept these inputs")
        except Exception:
            logger.exception("%s failed", self.label)
            return OriginError("internal", "the model failed on this request")

    def run_all(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Returns each job's outcome, in order. Jobs for a row-wise model with equal shapes and outputs share runs of at
        most `max_batch_size` rows; jobs for other models run alone."""
        if not self.row_wise:
            return [self.run(job) for job in jobs]
        outcomes: list[Outcome | None] = [None] * len(jobs)
        groups: dict[tuple, list[int]] = {}
        for index, job in enumerate(jobs):
            shapes = tuple((name, array.shape[1:]) for name, array in sorted(job.feeds.items()))
            groups.setdefault((shapes, tuple(job.outputs)), []).append(index)
        for indices in groups.values():
            for part in self._parts(jobs, indices):
                for index, outcome in zip(part, self._run_together([jobs[i] for i in part]), strict=True):
                    outcomes[index] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def _parts(self, jobs: Sequence[Job], indices: Sequence[int]) -> list[list[int]]:
        parts: list[list[int]] = []
        room = 0
        for index in indices:
            size = batch_of(jobs[index])
            if size > room:
                parts.append([])
                room = self.max_batch_size
            parts[-1].append(index)
            room -= size
        return parts

    def _run_together(self, jobs: Sequence[Job]) -> list[Outcome]:
        if len(jobs) == 1:
            return [self.run(jobs[0])]
        names = jobs[0].feeds
        together = {name: np.concatenate([job.feeds[name] for job in jobs]) for name in names}
        outcome = self.run(Job(together, jobs[0].outputs))
        if isinstance(outcome, OriginError):
            # Run alone, only the job that caused the error fails.
            return [self.run(job) for job in jobs]
        ends = np.cumsum([batch_of(job) for job in jobs])
        other = next((name for name, array in outcome.items() if array.shape[:1] != (ends[-1],)), None)
        if other is not None:
            logger.error("%s returned %s without one row per input row; requests now run alone", self.label, other)
            self.row_wise = False
            return [self.run(job) for job in jobs]
        split = {name: np.split(array, ends[:-1]) for name, array in outcome.items()}
        return [{name: parts[index] for name, parts in split.items()} for index in range(len(jobs))]


def batch_of(job: Job) -> int:
    return next(iter(job.feeds.values())).shape[0]


def select_providers(providers: Sequence[str]) -> list[str]:
    """Returns the providers that this ONNX Runtime has, in order, the CPU last."""
    available = onnxruntime.get_available_providers()
    missing = [provider for provider in providers if provider not in available]
    if missing:
        logger.info("ONNX Runtime lacks %s; it has %s", ", ".join(missing), ", ".join(available))
    chosen = [provider for provider in providers if provider in available]
    return chosen if "CPUExecutionProvider" in chosen else [*chosen, "CPUExecutionProvider"]
