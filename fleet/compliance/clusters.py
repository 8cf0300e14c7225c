"""Many tablets quiet for one reason: pure. Which incidents begin, who joins and leaves, and which are over.

Looked for is the narrowest cause that explains the most: a cart, a class, a profile, a part of a school that was last
heard within a quarter of an hour (its network), a school, everything. A cause has to explain :data:`EXPLAINS` of what
the widest one does, so that four classes behind one access point are one incident and not four. Tablets that were
found silent or asked about before are a matter of their own and never counted.
"""

import bisect
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from fleet.compliance.models import IncidentCause
from fleet.compliance.quiet import Scene, Standing, Tablet

FEWEST = 5  # members
SHARE = 0.5  # of a cart or school
SHARE_OF_CLASS = 0.4
FEWEST_OF_PROFILE = 10
FEWEST_OF_NETWORK, SHARE_OF_NETWORK = 8, 0.02  # gone within a quarter while there was school
FEWEST_BEFORE_SCHOOL, SHARE_BEFORE_SCHOOL = 10, 0.07  # and not heard since it began: some are flat on any morning
OTHERS_QUIET = 0.1  # at most so many of the rest, or a profile is not the reason
EXPLAINS = 0.7
QUARTER_S = 15 * 60
GROWS = 0.1  # of what is quiet now was in an incident before: it has grown; with less, another has begun beside it
FEW_LEFT, SHARE_LEFT = 2, 0.2
DAY = timedelta(hours=24)
_ORDER = tuple(IncidentCause)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Quiet tablets with one likely cause."""

    cause: IncidentCause
    school_id: int | None
    about: Mapping[str, Any]
    members: frozenset[int]
    of: int
    began_at: datetime


@dataclass(slots=True)
class Gathered:
    """What is to be done about incidents, by their number where they have one.

    ``inside`` are the tablets that are in an open incident once all this is done.
    """

    opens: list[Cluster] = field(default_factory=list)
    reopens: list[int] = field(default_factory=list)
    widens: dict[int, Cluster] = field(default_factory=dict)
    joins: dict[int, frozenset[int]] = field(default_factory=dict)
    leaves: dict[int, frozenset[int]] = field(default_factory=dict)
    closes: list[int] = field(default_factory=list)
    inside: frozenset[int] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not any((self.opens, self.reopens, self.widens, self.joins, self.leaves, self.closes))

    @property
    def touched(self) -> set[int]:
        """The tablets that come or go."""
        moved = (*self.joins.values(), *self.leaves.values(), *(one.members for one in self.opens))
        return {device_id for ids in moved for device_id in ids}


def gather(scene: Scene) -> Gathered:
    """Return what is to be done about incidents."""
    limits = scene.limits
    quiet = {one.id: one for one in scene.tablets if _is_one_of_many(one, limits.joins)}
    done = Gathered()
    members: dict[int, set[int]] = {one.id: set() for one in scene.incidents if one.is_open}
    for tablet in scene.tablets:
        if tablet.incident_id in members:
            members[tablet.incident_id].add(tablet.id)
    found = find([*quiet.values()], scene)
    for cluster in found:
        _settle(cluster, scene, quiet, members, done)
    for standing in scene.incidents:
        if standing.is_open:
            _end(standing, quiet, members[standing.id], done)
    closing = set(done.closes)
    inside = {device_id for number, ids in members.items() if number not in closing for device_id in ids & quiet.keys()}
    for ids in (*done.joins.values(), *(one.members for one in done.opens)):
        inside |= ids
    done.inside = frozenset(inside)
    return done


def _is_one_of_many(one: Tablet, joins: timedelta) -> bool:
    if not one.is_expected or one.is_single:
        return False
    if one.incident_id is not None:  # who is in one stays until heard, also where the calendar changes meanwhile
        return not one.is_back
    return one.missed_s >= joins.total_seconds()


def _settle(
    cluster: Cluster, scene: Scene, quiet: Mapping[int, Tablet], members: dict[int, set[int]], done: Gathered
) -> None:
    """Have a cluster be the incident that most of its tablets are in, one that was closed lately, or a new one."""
    free = frozenset(device_id for device_id in cluster.members if quiet[device_id].incident_id is None)
    known = {one.id: one for one in scene.incidents}
    owners = Counter(quiet[device_id].incident_id for device_id in cluster.members - free)
    kept = [number for number, _ in owners.most_common() if number in members]
    if kept and owners[kept[0]] >= GROWS * len(cluster.members):
        standing = known[kept[0]]
        if free:
            done.joins[standing.id] = done.joins.get(standing.id, frozenset()) | free
        if free and _widens(cluster, standing, len(members[standing.id])):
            done.widens[standing.id] = cluster
        return
    if len(free) < FEWEST or not _is_many(cluster, scene, quiet):
        return
    for standing in scene.incidents:
        again = len(cluster.members & standing.former)
        if not standing.is_open and again >= SHARE * max(len(cluster.members), standing.most):
            done.reopens.append(standing.id)
            done.joins[standing.id] = free
            if _goes_beyond(cluster, standing):
                done.widens[standing.id] = cluster
            return
    done.opens.append(replace(cluster, members=free))


def _goes_beyond(cluster: Cluster, standing: Standing) -> bool:
    """Whether a cluster is not of the one school that an incident is of: its tablets could not stay in that."""
    return standing.school_id is not None and cluster.school_id != standing.school_id


def _widens(cluster: Cluster, standing: Standing, members: int) -> bool:
    """Whether an incident has the cause of a cluster from now on."""
    if _goes_beyond(cluster, standing):
        return True
    is_wider = _ORDER.index(cluster.cause) > _ORDER.index(standing.cause)
    return is_wider and cluster.school_id == standing.school_id and len(cluster.members) * EXPLAINS > members


def _is_many(cluster: Cluster, scene: Scene, quiet: Mapping[int, Tablet]) -> bool:
    """Whether enough have been quiet for long enough to begin an incident."""
    limit = scene.limits.clusters.total_seconds()
    late = sum(1 for device_id in cluster.members if quiet[device_id].missed_s >= limit)
    return late >= FEWEST and late >= SHARE * len(cluster.members)


def _end(standing: Standing, quiet: Mapping[int, Tablet], members: set[int], done: Gathered) -> None:
    """Have those leave that were heard from; where few are left, the incident is over and they count singly again."""
    joining = done.joins.get(standing.id, frozenset())
    left = (members & quiet.keys()) | joining
    most = max(standing.most, len(left))
    if len(left) <= max(FEW_LEFT, SHARE_LEFT * most):
        done.closes.append(standing.id)
        done.joins.pop(standing.id, None)
        done.widens.pop(standing.id, None)
        gone = members
    else:
        gone = members - quiet.keys()
    if gone:
        done.leaves[standing.id] = frozenset(gone)


def find(quiet: Sequence[Tablet], scene: Scene) -> list[Cluster]:
    """Return the clusters among quiet tablets, each tablet in one at most."""
    if len(quiet) < FEWEST:
        return []
    at: dict[int | None, list[Tablet]] = defaultdict(list)
    for one in quiet:
        at[one.school_id].append(one)
    everywhere = _everywhere(at, scene)
    if everywhere is not None:
        return [everywhere]
    found: list[Cluster] = []
    profile = _profile(at, scene)
    if profile is not None:
        found.append(profile)
    taken = {device_id for one in found for device_id in one.members}
    for school_id, here in at.items():
        left = [one for one in here if one.id not in taken]
        while len(left) >= FEWEST:
            cluster = _at_school(school_id, left, scene)
            if cluster is None:
                break
            found.append(cluster)
            left = [one for one in left if one.id not in cluster.members]
    return found


def _made(cause: IncidentCause, school_id: int | None, members: Sequence[Tablet], of: int, **about: Any) -> Cluster:
    began_at = max(one.heard_at for one in members)
    return Cluster(cause, school_id, about, frozenset(one.id for one in members), of, began_at)


def _is_hit(quiet: Collection[Tablet], total: int, scene: Scene) -> bool:
    limit = scene.limits.clusters.total_seconds()
    late = sum(1 for one in quiet if one.missed_s >= limit)
    return late >= FEWEST and late >= SHARE * total


def _everywhere(at: Mapping[int | None, Sequence[Tablet]], scene: Scene) -> Cluster | None:
    """Return all quiet tablets where most schools that have had school lately are silent."""
    hit = [school_id for school_id, here in at.items() if _is_hit(here, scene.totals.schools.get(school_id, 0), scene)]
    if len(hit) < 2:
        return None
    limit = scene.limits.clusters.total_seconds()
    lately = [
        school_id
        for school_id in scene.totals.schools
        if school_id in hit or scene.calendar(school_id).school_seconds_between(scene.now - DAY, scene.now) >= limit
    ]
    if len(hit) < SHARE * len(lately):
        return None
    members = [one for here in at.values() for one in here]
    of = sum(scene.totals.schools.get(school_id, 0) for school_id in lately)
    return _made(IncidentCause.EVERYWHERE, None, members, of)


def _profile(at: Mapping[int | None, Sequence[Tablet]], scene: Scene) -> Cluster | None:
    """Return the quiet tablets of one profile where the rest of the same schools is heard, in several classes."""
    by_digest: dict[str, list[Tablet]] = defaultdict(list)
    for here in at.values():
        for one in here:
            if one.digest is not None:
                by_digest[one.digest].append(one)
    for digest, members in by_digest.items():
        schools = {one.school_id for one in members}
        total = sum(scene.totals.profiles.get((school_id, digest), 0) for school_id in schools)
        rest = sum(scene.totals.schools.get(school_id, 0) for school_id in schools) - total
        others = sum(1 for school_id in schools for one in at[school_id] if one.digest != digest)
        narrow = max(_largest(members, "class_id"), _largest(members, "cart"))
        if (
            len(members) >= max(FEWEST_OF_PROFILE, SHARE * total)
            and rest >= FEWEST_OF_PROFILE
            and others <= OTHERS_QUIET * rest
            and narrow < EXPLAINS * len(members)
        ):
            school_id = next(iter(schools)) if len(schools) == 1 else None
            return _made(IncidentCause.PROFILE, school_id, members, total, profile_digest=digest)
    return None


def _largest(members: Iterable[Tablet], name: str) -> int:
    counted = Counter(getattr(one, name) for one in members if getattr(one, name) is not None)
    return max(counted.values(), default=0)


def _at_school(school_id: int | None, here: Sequence[Tablet], scene: Scene) -> Cluster | None:
    """Return the narrowest cause at a school that explains nearly as much as the widest."""
    total = scene.totals.schools.get(school_id, 0)
    candidates = [*_carts(school_id, here, scene), *_classes(school_id, here, scene)]
    network = _network(school_id, here, scene)
    if network is not None:
        candidates.append(network)
    if school_id is not None and len(here) >= max(FEWEST, SHARE * total):
        candidates.append(_made(IncidentCause.SCHOOL, school_id, here, total))
    if not candidates:
        return None
    most = max(len(one.members) for one in candidates)
    enough = [one for one in candidates if len(one.members) >= EXPLAINS * most]
    return min(enough, key=lambda one: (_ORDER.index(one.cause), -len(one.members)))


def _carts(school_id: int | None, here: Sequence[Tablet], scene: Scene) -> Iterable[Cluster]:
    by_cart: dict[str, list[Tablet]] = defaultdict(list)
    for one in here:
        if one.cart is not None:
            by_cart[one.cart].append(one)
    for cart, members in by_cart.items():
        of = scene.totals.carts.get((school_id, cart), 0)
        if len(members) >= max(FEWEST, SHARE * of):
            yield _made(IncidentCause.CART, school_id, members, of, cart=cart)


def _classes(school_id: int | None, here: Sequence[Tablet], scene: Scene) -> Iterable[Cluster]:
    by_class: dict[int, list[Tablet]] = defaultdict(list)
    for one in here:
        if one.class_id is not None:
            by_class[one.class_id].append(one)
    for class_id, members in by_class.items():
        of = scene.totals.classes.get(class_id, 0)
        if len(members) >= max(FEWEST, SHARE_OF_CLASS * of):
            yield _made(IncidentCause.CLASS, school_id, members, of, class_ids=[class_id])


def _network(school_id: int | None, here: Sequence[Tablet], scene: Scene) -> Cluster | None:
    """Return the most tablets of a school last heard within a quarter of school time, with the rest of their classes.

    All that were last heard between two school days share an instant of school time, so it takes more of those.
    """
    calendar, total = scene.calendar(school_id), scene.totals.schools.get(school_id, 0)
    until = max(one.heard_at for one in here)
    moments = sorted((-calendar.school_seconds_between(one.heard_at, until), one.id) for one in here)
    seconds = [second for second, _ in moments]
    best: tuple[int, int, int] = (0, 0, 0)
    for first, second in enumerate(seconds):
        after = bisect.bisect_right(seconds, second + QUARTER_S)
        best = max(best, (after - first, first, after), key=lambda one: one[0])
    chosen = {device_id for _, device_id in moments[best[1] : best[2]]}
    gone = [one for one in here if one.id in chosen]
    in_school = sum(1 for one in gone if calendar.is_school_time(one.heard_at))
    is_sudden = in_school >= max(FEWEST_OF_NETWORK, SHARE_OF_NETWORK * total)
    if not is_sudden and len(gone) < max(FEWEST_BEFORE_SCHOOL, SHARE_BEFORE_SCHOOL * total):
        return None
    hit = Counter(one.class_id for one in gone)
    quiet = Counter(one.class_id for one in here if one.class_id is not None)  # some of a class slept before
    whole = {
        class_id
        for class_id, number in quiet.items()
        if number >= SHARE_OF_CLASS * scene.totals.classes.get(class_id, 0) and 2 * hit[class_id] >= number
    }
    members = [one for one in here if one.id in chosen or one.class_id in whole]
    return _made(IncidentCause.NETWORK, school_id, members, total, class_ids=sorted(whole))
