"""Begin an output folder where another one stood at a snapshot: its first record is the one that follows.

Whoever takes a partition over goes on in a folder of its own, so that the one before, which may only have been asleep,
can wake up and write without doing harm: what it writes is in its own folder, and nobody reads on from there. The chain
of the new folder says with its first line where it goes on from; what came before is proven by the old one.
"""

from pathlib import Path

from engine.durable import config_store, snapshots
from engine.durable.disk import Disk
from engine.durable.seals import Sealer, read_seals


def begin(disk: Disk, root: Path, source: Disk, before: Path, seq: int) -> None:
    """Make the empty folder `root` go on behind the snapshot of `seq` in the folder `before`.

    source : through which `before` is read, `disk` : through which `root` is; either may encrypt

    Whole or not at all: the chain is written last, and a folder without one is begun again by whoever calls this.
    Raises `StateError` if the snapshot is damaged, or `before` does not hold its configuration.
    """
    snapshot = snapshots.checked(source, before, seq)
    stored = config_store.stored(source, before, snapshot.config)
    config_store.keep(disk, root, stored.configuration)
    hashes = snapshots.adopt(disk, root, source, before, seq)
    sealer = Sealer(disk, root)
    sealer.note(
        "begun",
        seq,
        after=read_seals(source, before).root,
        config=snapshot.config,
        position=snapshot.position,
    )
    sealer.note("snapshot", seq, sha256=hashes)
    sealer.close()
