"""Places: folders and files on this machine, and those that pyarrow or fsspec open by an address such as "s3://..."."""

from tandv.place.addresses import is_address, place_of
from tandv.place.place import AnyPath, Info, Place, Unreachable

__all__ = ["AnyPath", "Info", "Place", "Unreachable", "is_address", "place_of"]
