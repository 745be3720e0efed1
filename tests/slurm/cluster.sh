#!/usr/bin/env bash
# A real Slurm on this host for tests: two nodes of 8 CPUs and 2 GPUs, no systemd, no containers, no slurmdbd.
#
#   cluster.sh start DIR PORT     ready when it returns; clients find it by SLURM_CONF=DIR/slurm.conf
#   cluster.sh stop DIR
#
# Everything lies in DIR (at most 90 characters, no spaces), the munge socket too, so that a Slurm of the machine's own
# is left alone. Needs root, and slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge. Tried with Slurm 22.05.
# GPUs are links to /dev/null: Slurm hands them out and sets CUDA_VISIBLE_DEVICES, and nothing can compute on them.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
readonly NODES=2 CPUS=8 GPUS=2 READY_S=30 STOP_S=10
readonly VERB=$1 DIR=$2
export SLURM_CONF=$DIR/slurm.conf

# cred_expire=6   a job that was put back starts again after 7 s instead of 2 min
# OverMemoryKill  --mem is enforced without cgroups, by polling once a second
# DefMemPerCPU    without it a job that names no --mem takes the whole node, so arrays run one by one
write_config() {
    local port=$1 host memory_mb i
    host=$(hostname -s)
    memory_mb=$(awk -v n=$NODES '/^MemTotal:/ { print int($2 / 1024 * 0.9 / n) }' /proc/meminfo)
    cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/munge.socket,cred_expire=6
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=$((memory_mb / CPUS))
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=2
SlurmctldPort=$port
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmctldLogFile=$DIR/slurmctld.log
StateSaveLocation=$DIR/state
SlurmdParameters=config_overrides
SlurmdPidFile=$DIR/slurmd-%n.pid
SlurmdLogFile=$DIR/slurmd-%n.log
SlurmdSpoolDir=$DIR/spool-%n
CONF
    for ((i = 1; i <= NODES; i++)); do
        echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + i)) CPUs=$CPUS" \
            "RealMemory=$memory_mb Gres=gpu:$GPUS State=UNKNOWN" >>"$SLURM_CONF"
    done
    # The number at the end of a device file is what CUDA_VISIBLE_DEVICES gets.
    for ((i = 0; i < GPUS; i++)); do ln -sfn /dev/null "$DIR/fake-gpu$i"; done
    echo "AutoDetect=off
NodeName=n[1-$NODES] Name=gpu Count=$GPUS File=$DIR/fake-gpu[0-$((GPUS - 1))]" >"$DIR/gres.conf"
    echo "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP" >>"$SLURM_CONF"
}

# Daemons must not hold the caller's pipes open.
start() {
    local i tries=$((READY_S * 5))
    mkdir -p "$DIR/state"
    (umask 077 && head -c 1024 /dev/urandom >"$DIR/munge.key")
    write_config "$1"
    munged --socket="$DIR/munge.socket" --key-file="$DIR/munge.key" --seed-file="$DIR/munged.seed" \
        --pid-file="$DIR/munged.pid" --log-file="$DIR/munged.log" >/dev/null 2>>"$DIR/start.log"
    slurmctld -c >/dev/null 2>>"$DIR/start.log"
    for ((i = 1; i <= NODES; i++)); do
        mkdir -p "$DIR/spool-n$i"
        slurmd -N "n$i" >/dev/null 2>>"$DIR/start.log"
    done
    until [[ $(sinfo -h -N -t idle -o %N 2>/dev/null | wc -l) -eq $NODES ]]; do
        ((tries-- > 0)) || { tail -n 5 "$DIR"/*.log >&2; stop; exit 1; }
        sleep 0.2
    done
}

# Jobs first: they outlive slurmd, and would be left running. Then there is nothing to save.
stop() {
    local file waited=0
    squeue -h -o %A 2>/dev/null | xargs -r scancel 2>/dev/null || true
    while [[ -n $(squeue -h 2>/dev/null) ]] && ((waited++ < STOP_S * 5)); do sleep 0.2; done
    for file in "$DIR"/slurmd-*.pid "$DIR/slurmctld.pid" "$DIR/munged.pid"; do
        if [[ -s $file ]]; then kill -KILL "$(<"$file")" 2>/dev/null || true; fi
    done
}

case $VERB in
    start) start "$3" ;;
    stop) stop ;;
    *) echo "usage: $0 start DIR PORT | stop DIR" >&2; exit 2 ;;
esac
