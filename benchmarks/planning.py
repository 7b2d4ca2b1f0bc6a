"""From what one core does to what a payment system needs: arithmetic over the files of results, nothing measured here.

Every figure is one of these, or a product of them:

    tx/s of a core           median of the canonical workload
    bytes an account         windows of 40 features over 5 keys (bench_scale), all five keys together
    bytes a retained event   the same; an event is retained for 7 days, the longest window
    bytes a message          of the canonical stream, of a decision, and of the journal, compressed
"""

import math

TITLE = "From here to a national payment system"
HEADROOM = 0.5  # share of what a core can do that the peak may take: the rest is for catching up after a failure
DAYS = 7  # that a window looks back
WORKER_GB = 0.5  # of a process before its first account: libraries, kernels, packs
PARTITION_GB = 16.0  # state of a partition at most, so that it restarts within minutes
MACHINE_CORES, MACHINE_GB = 32, 256
SYSTEMS = (  # accounts, transactions a second on average and at the peak
    ("a regional bank", 2_000_000, 150, 1_000),
    ("a large retail bank", 100_000_000, 3_000, 20_000),
    ("a national payment system", 1_000_000_000, 20_000, 100_000),
)
HEADINGS = [
    "what", "accounts", "tx/s, mean", "tx/s, peak", "partitions", "accounts each", "memory each, GB", "memory, GB",
    "machines", "network in and out, Gbit/s", "journal and decisions, TB a day",
]  # fmt: skip


def rows(results):
    """A row a system; none where what they are made of was not measured."""
    if "canonical" not in results or "scale" not in results:
        return []
    canonical = results["canonical"]
    limits = {row["what"]: row["found"] for row in results["scale"]["limits"]}
    rate = canonical["median"]["canonical"]["tx_per_second"] * HEADROOM
    account, event = limits["bytes an account"], limits["bytes a retained event, over all keys"]
    made = []
    for name, accounts, mean, peak in SYSTEMS:
        state_gb = (accounts * account + mean * 86_400 * DAYS * event) / 1e9
        partitions = max(math.ceil(peak / rate), math.ceil(state_gb / PARTITION_GB))
        memory_gb = state_gb + partitions * WORKER_GB
        machines = max(
            math.ceil(partitions / MACHINE_CORES), math.ceil(memory_gb / (MACHINE_GB * 0.8))
        )
        wire = (canonical["message_bytes"] + canonical["decision_bytes"]) * peak * 8 / 1e9
        kept = (canonical["journal_bytes"] + canonical["decision_bytes"]) * mean * 86_400 / 1e12
        made.append(
            [
                name, f"{accounts:,}", f"{mean:,}", f"{peak:,}", f"{partitions:,}", f"{accounts // partitions:,}",
                f"{memory_gb / partitions:,.1f}", f"{memory_gb:,.0f}", f"{machines:,}", f"{wire:,.2f}", f"{kept:,.2f}",
            ]
        )  # fmt: skip
    return made


def about(results):
    """What the table assumes, with the figures it is made of."""
    canonical = results["canonical"]
    limits = {row["what"]: row["found"] for row in results["scale"]["limits"]}
    return (
        f"Arithmetic, not a measurement. One partition is one core and decides "
        f"{canonical['median']['canonical']['tx_per_second']:,.0f} canonical tx/s here; the peak may take "
        f"{HEADROOM:.0%} of that, so that a worker that takes over can catch up; and no partition holds more than "
        f"{PARTITION_GB:g} GB of state, so that it restarts in minutes: of the two, what asks for more partitions "
        "counts. Memory: "
        f"{limits['bytes an account']:,.0f} bytes an account over five keys, "
        f"{limits['bytes a retained event, over all keys']:,.0f} bytes for each transaction of the last {DAYS} days, "
        f"{WORKER_GB:g} GB a process. A machine has {MACHINE_CORES} cores and {MACHINE_GB} GB, a fifth of it left "
        f"free. The wire carries {canonical['message_bytes']:,.0f} bytes in and {canonical['decision_bytes']:,.0f} out "
        f"for each transaction, once; a broker that keeps three copies moves three times that. The disk keeps "
        f"{canonical['journal_bytes']:,.0f} bytes of journal and the decision as it is. What the arithmetic leaves "
        "out: features by keys that are not local to a partition (device, merchant, counterparty) see that "
        "partition's share only, unless a second topic is keyed by them; a standby for each partition doubles memory; "
        "more than a few hundred partitions want more than one group of workers, for a rebalance tells every worker."
    )
