"""temporary."""
import io
import numpy as np
from datatrove_steps.ledger import FinishedPart
from hf_curation.files.atomic import PartFile
from hf_curation.sampling.features import load_featurizer

class GroupCounts:
    def __init__(self, n): self.features=np.zeros(n,np.int64); self.docs=0
    @classmethod
    def empty(cls,n): return cls(n)
    def add(self, texts, sizes, sources): self.docs+=len(sizes.num_tokens)
    def merge(self,o): self.docs+=o.docs
    def arrays(self): return {"docs":np.array(self.docs)}
    @classmethod
    def from_arrays(cls,a):
        g=cls(1); g.docs=int(a["docs"]); return g

class GroupGatherer:
    def __init__(self, spec, names):
        self.f=load_featurizer(spec); self.c={n:np.zeros(spec.num_buckets,np.int64) for n in names}
    def add(self,batch,takes):
        texts=batch.texts if isinstance(batch.texts,list) else batch.texts.to_pylist()
        for n,m in takes.items():
            t=[texts[i] for i in np.flatnonzero(m)]
            if t: self.f.count(t,self.c[n])
    def finish(self,path):
        b=io.BytesIO(); np.savez(b,**self.c); p=PartFile(path); p.write(b.getvalue()); p.finish(); return FinishedPart(p,0)

class E:
    headline={}
    def to_dict(self): return {}
def assemble_evidence(plan, choices): return E()
