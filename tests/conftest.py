"""What holds for every test: no network, and properties that a busy machine does not fail."""

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Time is measured by the benchmarks. A test that is slow because the machine is busy has found nothing.
settings.register_profile("hf-curation", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hf-curation")
