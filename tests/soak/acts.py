"""What can happen to two queues: one value for each thing that people, products or fate do.

Numbers in an act are taken modulo what there is when it is played, so that any act fits any
moment, and a sequence stays meaningful when acts are left out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["PEOPLE", "Act", "Scene", "draw_act", "draw_pass", "draw_scene", "draw_script"]

#: what people do, and how often beside each other; each of these is an edit
PEOPLE: dict[str, int] = {
    "edit": 40,
    "tag": 8,
    "untag": 4,
    "say": 12,
    "reword": 2,
    "add": 4,
    "foreign": 1,
    "alert": 5,
    "change alert": 2,
    "move alert": 2,
    "merge": 3,
    "delete": 1,
    "set task": 3,
    "finish task": 2,
    "ask desk": 3,
    "tell desk": 2,
}
#: what products, networks and operators do
FATE: dict[str, int] = {
    "wait": 6,
    "fail": 6,
    "hide": 3,
    "poll": 6,
    "write": 4,
    "copy": 4,
    "accept": 1,
    "mode": 1,
    "sweep": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that happens. What `a` to `d` mean depends on the kind."""

    kind: str
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    #: what happens meanwhile, each at the so-manieth call or journal write of a pass
    during: tuple[tuple[int, Act], ...] = ()
    #: where the process dies; 0 for nowhere
    dies_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What two queues a sequence is played with."""

    mode: str = "replica"
    winner: str = "latest"
    mirrors: int = 1
    #: whether the mirror's vendor has a connector of its own, and how late it is, in minutes
    has_copier: bool = False
    copier_lag: int = 3
    #: what differs between the products' clocks and ours, in minutes
    skew: tuple[int, int] = (0, 0)
    has_counts: bool = False
    tells_news: bool = False
    page_size: int = 3
    comment_limit: int = 1000
    comments_at_most: int = 1000


def draw_scene(chance: Random, edits: int) -> Scene:
    """Draw what a sequence of so many edits is played with."""
    has_copier = chance.random() < 0.35
    return Scene(
        mode=chance.choice(["overlay", "overlay", "auto"] if has_copier else ["replica", "auto"]),
        winner=chance.choice(["latest", "latest", "detector", "mirror"]),
        mirrors=chance.choice([1, 1, 1, 2]),
        has_copier=has_copier,
        copier_lag=chance.choice([0, 3, 3, 14]),
        skew=(chance.choice([0, 0, 60, -60]), chance.choice([0, 0, 60, -60])),
        has_counts=chance.random() < 0.5,
        tells_news=chance.random() < 0.5,
        page_size=chance.choice([1, 3, 50]),
        comment_limit=chance.choice([1000, 400]),
        # a long sequence would say more than twenty comments can hold
        comments_at_most=chance.choice([1000, 1000, 20 if edits <= 60 else 1000]),
    )


def draw_act(chance: Random, kinds: dict[str, int] = PEOPLE) -> Act:
    """Draw one thing that happens by itself."""
    kind = chance.choices(list(kinds), weights=list(kinds.values()))[0]
    a, b, c, d = (chance.randrange(1000) for _ in range(4))
    return Act(kind=kind, a=a, b=b, c=c, d=d)


def draw_pass(chance: Random, *, deadly: float = 0.15, busy: int = 3) -> Act:
    """Draw a pass of sync, what happens meanwhile, and whether its process dies."""
    moments = sorted(chance.randrange(1, 120) for _ in range(chance.randrange(busy + 1)))
    during = tuple((moment, draw_act(chance)) for moment in moments)
    dies_at = chance.randrange(1, 90) if chance.random() < deadly else 0
    kind = chance.choice(["pass", "pass", "pass", "two passes"])
    return Act(kind=kind, during=during, dies_at=dies_at)


def draw_script(chance: Random, edits: int) -> list[Act]:
    """Draw a sequence with about so many edits."""
    script: list[Act] = [draw_act(chance, {"add": 1}) for _ in range(chance.randrange(1, 4))]
    while _edits(script) < edits:
        # now and then a lot happens between two passes
        burst = chance.choice([3, 12, 12, 60, 400] if edits > 500 else [3, 12, 12, 60])
        script += [draw_act(chance) for _ in range(chance.randrange(1, burst))]
        script += [draw_act(chance, FATE) for _ in range(chance.randrange(3))]
        script.append(draw_pass(chance))
    return script


def _edits(script: Sequence[Act]) -> int:
    alone = sum(act.kind in PEOPLE for act in script)
    return alone + sum(len(act.during) for act in script)
