"""Content-addressed blobs on a list of fsspec URLs, checked on every read."""

from fl_chain.store.blobs import Update
from fl_chain.store.mask_blobs import ReleaseBlob, SetUpBlob, SignedRelease, SignedSetUp
from fl_chain.store.replicas import Copy, CopyState, WriteOutcome, WriteState
from fl_chain.store.signed_blobs import Signed, SignedBlob, SignedFolder
from fl_chain.store.store import Store

__all__ = [
    "Copy",
    "CopyState",
    "ReleaseBlob",
    "SetUpBlob",
    "Signed",
    "SignedBlob",
    "SignedFolder",
    "SignedRelease",
    "SignedSetUp",
    "Store",
    "Update",
    "WriteOutcome",
    "WriteState",
]
