"""An archive, read from front to back, as from a pipe: at the end everything has been checked, each chunk's CRC, each
block's, the index, and sha256 of the file and of all that was decoded. Nothing is to be believed before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from morphogen.codec.blocks import LEARNED, Block, Learned
from morphogen.codec.chunks import BLOCK, DONE, ENTRIES, INDEX, MOST, PROFILE, Chunk, Damaged, Read, Source, inflated
from morphogen.codec.entries import Catalogue
from morphogen.codec.index import END, Row
from morphogen.errors import UserError

__all__ = ["Models", "Walk"]


class Models:
    """The model that an archive was written by, found when the first block needs it."""

    def __init__(self, learned_of: Callable[[bytes], Learned] | None, given: bytes | None = None) -> None:
        self._learned_of, self._profile = learned_of, given
        self._digest, self.inside = "", True
        self._ready: Learned | None = None

    @property
    def known(self) -> bool:
        """Whether the head of the archive has been read."""
        return bool(self._digest)

    @property
    def ready(self) -> bool:
        """Whether the profile is at hand."""
        return self._profile is not None

    def expect(self, facts: dict[str, Any]) -> None:
        """What the head of the archive says of it."""
        said, inside = facts.get("model"), facts.get("inside")
        known = set(facts) == {"inside", "model", "writer"} and isinstance(facts["writer"], str)
        if not known or not isinstance(inside, bool):
            raise Damaged("the archive is damaged, or of a format that this version does not know")
        if not isinstance(said, str) or len(said) != 64 or set(said) - set("0123456789abcdef"):
            raise Damaged("the archive is damaged: it names no model")
        self._digest, self.inside = said, inside

    def take(self, payload: bytes) -> None:
        """The profile in the archive."""
        if not self.inside or len(payload) > MOST[PROFILE]:
            raise Damaged("the archive is damaged: it holds a model where none should be")
        profile = inflated(payload, MOST[PROFILE])
        if hashlib.sha256(profile).hexdigest() != self._digest:
            raise Damaged("the archive is damaged: its model is another than it says")
        self._profile = profile

    def learned(self) -> Learned:
        """The model itself."""
        if self._ready is not None:
            return self._ready
        if self._profile is None and self.inside:
            raise Damaged("the archive is damaged: the model that it needs is not where it should be")
        if self._profile is None or self._learned_of is None:
            raise UserError(f"the archive needs the model {self._digest}; name its run or profile with --model")
        if hashlib.sha256(self._profile).hexdigest() != self._digest:
            raise UserError(f"the archive needs the model {self._digest}; the one that was named is another")
        try:
            self._ready = self._learned_of(self._profile)
        except UserError:
            raise
        except Exception as error:
            raise Damaged(f"the model in the archive cannot be used ({type(error).__name__}: {error})") from None
        return self._ready


class Walk:
    """Reads an archive. When `blocks` has come to its end, everything has been checked."""

    def __init__(self, read: Read, models: Models) -> None:
        self._source, self._models = Source(read), models
        self._sha, self._size = hashlib.sha256(), 0
        self._rows = bytearray()
        self.catalogue = Catalogue()

    def blocks(self) -> Iterator[tuple[Block, bytes]]:
        """Every block with what it holds."""
        self._models.expect(self._source.head())
        place, seen = 0, set[bytes]()
        for chunk in self._source.chunks():
            if (INDEX in seen) != (chunk.name == DONE) or (chunk.name == PROFILE and PROFILE in seen):
                raise Damaged("the archive is damaged: its parts are out of order")
            seen.add(chunk.name)
            if chunk.name == PROFILE:
                self._models.take(chunk.payload)
            elif chunk.name == ENTRIES:
                self.catalogue.add_entries(chunk.payload)
            elif chunk.name == BLOCK:
                yield self._block(chunk)
            elif chunk.name == DONE:
                self._end(chunk, place)
            elif chunk.payload != self._rows:
                raise Damaged("the archive is damaged: its index is another than its blocks say")
            place = chunk.offset
            self._rows += Row.of(chunk).to_bytes()

    def _block(self, chunk: Chunk) -> tuple[Block, bytes]:
        block = Block.from_bytes(chunk.payload)
        self.catalogue.add_block(block)
        raw = block.decode(self._models.learned() if block.codec == LEARNED else None)
        self._sha.update(raw)
        self._size += len(raw)
        return block, raw

    def _end(self, chunk: Chunk, index: int) -> None:
        if chunk.payload != END.pack(index, self._size, self._sha.digest(), self._source.before):
            raise Damaged("the archive is damaged: its content does not match its sha256")
        self.catalogue.check_end()
