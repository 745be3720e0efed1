"""One tokenized copy of the data, and cheap plans that pack it into training sequences."""

from hf_curation.packing.plan import PLANS, DocumentLengths, PackPlan, PlanFigures, figures_of, make_plan

__all__ = ["PLANS", "DocumentLengths", "PackPlan", "PlanFigures", "figures_of", "make_plan"]
