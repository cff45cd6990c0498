from jobs.specs.spec import Strict
class Cluster(Strict):
    address: str|None=None
    workers:int=2
    cpus_per_worker:float=.75
    gpus_per_worker:float=0
    trial_cpus:float=.01
    task_cpus:float=.45
    task_gpus:float=0
    max_concurrent_trials:int|None=None
    num_cpus:int|None=None
    max_retries_of_lost_workers:int=2
    checkpoint_seconds:float=60
def read_cluster(p,env): return Cluster()
