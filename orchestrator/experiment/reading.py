import json, os
from ruamel.yaml import YAML
from pathlib import Path
from orchestrator.experiment.experiment import Experiment
def read_experiment(path,*,overrides=(),profile=None,environ):
    y=YAML(typ="safe"); y.version=(1,2)
    d=y.load(Path(path)); d.pop("profiles",None)
    ts=[]
    for t in d["tasks"]:
        if isinstance(t,str):
            s=(Path(path).parent/"../tasks"/f"{t}.yaml").read_text().replace("${LAYERSCOPE_SHARED:-../shared}",environ.get("LAYERSCOPE_SHARED","../shared"))
            t=y.load(s)
        ts.append(t)
    d["tasks"]=ts
    for o in overrides:
        k,v=o.split("=",1); c=d; *h,l=k.split(".")
        for p in h: c=c[int(p)] if isinstance(c,list) else c.setdefault(p,{})
        if isinstance(c,list): l=int(l)
        c[l]=y.load(v)
    return Experiment.model_validate_json(json.dumps(d))
def resolved_yaml(e):
    import io
    b=io.StringIO(); YAML(typ="safe").dump(json.loads(e.model_dump_json(exclude_none=True)),b); return b.getvalue()
