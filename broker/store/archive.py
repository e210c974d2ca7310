from typing import NamedTuple
class Address(NamedTuple):
    file: str
    offset: int
    length: int
