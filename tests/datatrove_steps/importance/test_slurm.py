"""The same passes as jobs of a cluster: one executor each, one after another, none left pending behind a failure."""

import dill
import pytest

from datatrove_steps.importance import SelectConfig, importance_sampling

PASSES = ["count_target", "count_raw", "fit", "held_out", "weigh", "choose", "keep", "finish"]


@pytest.fixture
def config(corpus, tmp_path):
    def make(**options):
        return SelectConfig(
            raw=str(corpus / "raw.jsonl"),
            output=str(tmp_path / "out"),
            targets=str(corpus / "target.jsonl"),
            tasks=5,
            **options,
        )

    return make


def chain_of(executor):
    chain = [executor]
    while chain[0].depends is not None:
        chain.insert(0, chain[0].depends)
    return chain


def test_jobs_hang_on_each_other(config, corpus, tmp_path):
    slurm = {"time": "1:00:00", "partition": "cpu", "venv_path": "/venv/bin/activate", "sbatch_args": {"qos": "low"}}
    chain = chain_of(importance_sampling(config(held_out=(str(corpus / "held_out.jsonl"),)), slurm=slurm))
    assert [executor.job_name for executor in chain] == [f"select-{name}" for name in PASSES]
    assert [executor.tasks for executor in chain] == [1, 5, 1, 1, 5, 1, 5, 1]
    for executor in chain:
        assert type(executor).__name__ == "SlurmRanks"
        assert executor._sbatch_args["kill-on-invalid-dep"] == "yes"
        assert executor._sbatch_args["qos"] == "low"
        again = dill.loads(dill.dumps(executor.pipeline))  # noqa: S301 - what datatrove does on the cluster
        assert [step.name for step in again] == [step.name for step in executor.pipeline]


def test_what_every_cluster_needs(config):
    with pytest.raises(ValueError, match="slurm needs partition"):
        importance_sampling(config(), slurm={"time": "1:00:00"})


def test_pickled_steps_do_the_same_work(config, select, contents, tmp_path):
    """Steps go to a node as bytes."""
    chain = chain_of(importance_sampling(config(budget="10%")))
    for executor in chain:
        for rank in range(executor.tasks):
            [step] = dill.loads(dill.dumps(executor.pipeline))  # noqa: S301
            list(step.run(None, rank, executor.tasks))
    assert contents(tmp_path / "out") == contents(select("here", tasks=5))
