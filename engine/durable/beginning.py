"""Begin an output folder where another one stood at a snapshot: its first record is the one that follows.

Whoever takes a partition over goes on in a folder of its own, so that the one before, which may only have been asleep,
can wake up and write without doing harm: what it writes is in its own folder, and nobody reads on from there. The chain
of the new folder says with its first line where it goes on from; what came before is proven by the old one.
"""

from dataclasses import replace
from pathlib import Path

from engine.durable import config_store, snapshots
from engine.durable.disk import Disk
from engine.durable.seals import Sealer, read_seals
from engine.durable.snapshots import Snapshot


def begin(disk: Disk, root: Path, snapshot: Snapshot, before: Path) -> None:
    """Make the empty folder `root` go on behind `snapshot`, which stands in the folder `before`.

    Whole or not at all: the chain is written last, and a folder without one is begun again by whoever calls this.
    Raises `StateError` if `before` does not hold the configuration of the snapshot.
    """
    config_store.keep(disk, root, config_store.stored(disk, before, snapshot.config).configuration)
    hashes = snapshots.write(disk, root, replace(snapshot, lengths={}, orderly=False))
    sealer = Sealer(disk, root)
    sealer.note(
        "begun",
        snapshot.seq,
        after=read_seals(disk, before).root,
        config=snapshot.config,
        position=snapshot.position,
    )
    sealer.note("snapshot", snapshot.seq, sha256=hashes)
    sealer.close()
