"""Running ranks on Slurm: datatrove's executor, in which ranks of one job share nothing.

With `tasks_per_job` above 1 datatrove runs ranks in turn with the same steps, which go on counting: 1,200 documents
are reported as 1,800 (measured). Here every rank has steps of its own, as in `LocalRanks`. And the rank that completes
the run adds up the statistics, for which datatrove submits a job more after every array.
"""

import copy
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.utils.stats import PipelineStats

from datatrove_steps.executors import merge_stats


class SlurmRanks(SlurmPipelineExecutor):  # type: ignore[misc]
    """datatrove's Slurm executor with exact statistics, and one job where it has two."""

    def launch_merge_stats(self) -> None:
        """Submit nothing: the last rank does it."""

    def _run_for_rank(self, rank: int, *args: Any, **kwargs: Any) -> PipelineStats:  # noqa: ANN401 - datatrove's
        executor = copy.copy(self)
        executor.pipeline = copy.deepcopy(self.pipeline)
        stats = super(SlurmRanks, executor)._run_for_rank(rank, *args, **kwargs)
        if not self.get_incomplete_ranks():
            merge_stats(self.logging_dir)
        return stats
