"""What is refused of orders, and of what schools decide, as sentences; see :mod:`fleet.cli.refusals`."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, always, see


def _bad_order(data: Data) -> str:
    kind, field, expected = data.get("order_kind"), data.get("field"), data.get("expected")
    if field == "come_back" and data.get("channel") is not None:
        return f"tablet {data.get('serial')}: one on {data.get('channel')} cannot set itself up again: no --come-back"
    if expected is None:
        option = str(field).replace("_", "-")
        return f"{kind} has no {option}: leave --{option} out"
    if field == "tablets":
        return f"{kind} is for {expected}: --device SERIAL"
    if field == "life":
        return f"an order may wait for {expected}: --life"
    return f"{kind} needs {expected}: --{field}"


def _not_carried(data: Data) -> str:
    kind, channel, count = data.get("order_kind"), data.get("channel"), data.get("count")
    serials = data.get("serials") or ()
    named = ", ".join(serials)
    who = f"{count} tablets ({named}, …)" if isinstance(count, int) and count > len(serials) else f"tablet {named}"
    if channel is None:
        return f"{who} may not speak to this server any more, as its enrolment has ended: {kind} would never reach it"
    return f"{who}: the channel {channel} cannot carry {kind}; it carries {', '.join(data.get('carries') or ())}"


def _order_closed(data: Data) -> str:
    state = data.get("state")
    if state in {"queued", "sent"}:
        return f"order {data.get('id')} is {state}: it does not wait for another person's yes"
    if state == "asked":
        return f"order {data.get('id')} was asked for too long ago: its time is over"
    return f"order {data.get('id')} has ended already ({state})"


def _same_person(data: Data) -> str:
    who = "from the command line, which counts as one person" if data.get("by") == "cli" else "by the same person"
    return (
        f"order {data.get('id')} was asked for {who}: another one has to say yes ({see('orders second-person show')})"
    )


def _bad_network(data: Data) -> str:
    return f"{data.get('found')} cannot be a school's network: give {data.get('expected')}"


def _not_lost(data: Data) -> str:
    serial, state = data.get("serial"), data.get("state")
    return f"tablet {serial} is not lost ({state}), and only a lost one is located: {see(f'devices lost {serial}')}"


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {"order-closed": _order_closed, "order-not-carried": _not_carried, "same-person": _same_person}
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "location"): lambda data: (
            f"order {data.get('name')} has no position, or none that is still kept: it is for two days"
        ),
        ("not-found", "order"): lambda data: f"there is no order {data.get('name')}: {see('orders list')} lists them",
        ("not-found", "municipality"): always(
            "there is no municipality yet to decide for: name it on the page Kom i gang, or import a roster"
        ),
        ("conflict", "tablet to locate"): _not_lost,
        ("invalid", "order"): _bad_order,
        ("invalid", "lost tablet"): lambda data: f"give {data.get('expected')}: --{data.get('field')}",
        ("invalid", "network"): _bad_network,
        ("invalid", "networks"): lambda data: (
            f"a school's networks are {data.get('expected')}, not {data.get('found')}"
        ),
        ("invalid", "longest lesson"): lambda data: (
            f"the longest lesson of a school is {data.get('expected')}, not {data.get('found')}"
        ),
    }
)
