import sys, json
sys.path.insert(0,"tests"); sys.path.insert(0,"tests/study")
from pathlib import Path
from tame.study.record import open_record
OF_TIME = ("opened", "forecast", "forecast_corrected", "trained", "workers", "worker_restarted","measured","engines")
OF_PLACE = ("study", "model", "report", "folder", "machine", "forecast", "command","engines","speed")
def timeless(v):
    if isinstance(v, dict): return {k: timeless(o) for k,o in v.items() if not k.endswith("_s") and k not in OF_PLACE}
    return [timeless(o) for o in v] if isinstance(v, list) else v
def story(folder):
    r=open_record(Path(folder), read_only=True); told,points=[],{}
    for e in r.events():
        p=json.loads(json.dumps(dict(e.data)))
        if e.kind=="curve": points |= {(p["trial"],q[0]):q for q in p["points"]}
        elif e.kind not in OF_TIME: told.append((e.kind, timeless(p)))
    r.close(); return told, points
a,b=map(story, sys.argv[1:3])
print(len(a[0]),len(b[0]),"events equal" if a[0]==b[0] else "events DIFFER", len(a[1]), "points equal" if a[1]==b[1] else "points DIFFER")
if a[0]!=b[0]:
    for x,y in zip(*[s[0] for s in (a,b)]):
        if x!=y: print(x[0],y[0],str(x)[:400],"\n",str(y)[:400]); break
if a[1]!=b[1]: print([ (k,a[1].get(k),b[1].get(k)) for k in a[1] if a[1][k]!=b[1].get(k)][:3])
