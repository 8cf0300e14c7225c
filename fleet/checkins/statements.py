"""The statements of the hot path, one text per database, prepared once: a batch of any size is one parameter.

What they do is the same on both: for every report whose key is the tablet's, whose sequence is higher than the last,
but not by more than :data:`MAX_STEP`, and whose report id is new, the tablet's row takes the report and the log gets a
line; what came of it is returned.
"""

from functools import cache

from sqlalchemy import TextualSelect, text

from fleet.db import UTCDateTime

# As numbers go on over re-enrolment, one report with the highest there is would silence a tablet for ever.
MAX_STEP = 1_000_000

_COLUMNS = (
    *("device_id", "config_version", "schedule_digest", "desired_digest", "applied_digest", "polls_pending"),
    *("facts_digest", "review_key", "next_switch_at"),
)

# PostgreSQL does both in one statement, and takes the rows in their order first (fleet.devices.states).
RECEIVE_POSTGRESQL = f"""
WITH told AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r(d int, k text, q bigint, i text, b text, a text, bat int, sto bigint, clk int)
), taken AS (
    SELECT device_id FROM device_state WHERE device_id IN (SELECT d FROM told)
    ORDER BY device_id FOR NO KEY UPDATE
), updated AS (
    UPDATE device_state AS s
    SET last_sequence = r.q, last_report_id = r.i, last_report_digest = r.b, last_seen_at = CAST(:now AS timestamptz),
        applied_at = CASE WHEN s.applied_digest IS DISTINCT FROM r.a THEN CAST(:now AS timestamptz)
                     ELSE s.applied_at END,
        polls_pending = CASE WHEN s.desired_digest IS DISTINCT FROM r.a THEN s.polls_pending + 1 ELSE 0 END,
        applied_digest = r.a, battery_percent = r.bat, storage_free_bytes = r.sto, clock_offset_s = r.clk
    FROM told AS r JOIN taken AS t ON t.device_id = r.d
    WHERE s.device_id = r.d AND s.key_thumbprint = r.k AND r.q - s.last_sequence BETWEEN 1 AND {MAX_STEP}
      AND s.last_report_id IS DISTINCT FROM r.i
    RETURNING {", ".join(f"s.{column}" for column in _COLUMNS)}
), logged AS (
    INSERT INTO check_in (device_id, sequence, received_at, report_id, applied_digest, battery_percent,
                          storage_free_bytes, clock_offset_s)
    SELECT r.d, r.q, CAST(:now AS timestamptz), r.i, r.a, r.bat, r.sto, r.clk
    FROM told AS r JOIN updated AS u ON u.device_id = r.d
)
SELECT * FROM updated
"""  # noqa: S608 (only the constants above go in)

# SQLite cannot write in a common table expression, so it takes two.
RECEIVE_SQLITE = f"""
UPDATE device_state
SET last_sequence = json_extract(r.value, '$.q'), last_report_id = json_extract(r.value, '$.i'),
    last_report_digest = json_extract(r.value, '$.b'), last_seen_at = :now,
    applied_at = CASE WHEN applied_digest IS NOT json_extract(r.value, '$.a') THEN :now ELSE applied_at END,
    polls_pending = CASE WHEN desired_digest IS NOT json_extract(r.value, '$.a') THEN polls_pending + 1 ELSE 0 END,
    applied_digest = json_extract(r.value, '$.a'), battery_percent = json_extract(r.value, '$.bat'),
    storage_free_bytes = json_extract(r.value, '$.sto'), clock_offset_s = json_extract(r.value, '$.clk')
FROM json_each(:rows) AS r
WHERE device_id = json_extract(r.value, '$.d') AND key_thumbprint = json_extract(r.value, '$.k')
  AND json_extract(r.value, '$.q') - last_sequence BETWEEN 1 AND {MAX_STEP}
  AND last_report_id IS NOT json_extract(r.value, '$.i')
RETURNING {", ".join(_COLUMNS)}
"""  # noqa: S608 (only the constants above go in)
LOG_SQLITE = """
INSERT INTO check_in (device_id, sequence, received_at, report_id, applied_digest, battery_percent, storage_free_bytes,
                      clock_offset_s)
SELECT json_extract(value, '$.d'), json_extract(value, '$.q'), :now, json_extract(value, '$.i'),
       json_extract(value, '$.a'), json_extract(value, '$.bat'), json_extract(value, '$.sto'),
       json_extract(value, '$.clk')
FROM json_each(:rows)
"""

# For tablets whose schedule has moved on since somebody last looked; their report is stored by this transaction, which
# therefore has their rows. Returned is what the statements above return.
ADVANCE = {
    "postgresql": f"""
        UPDATE device_state AS s
        SET desired_at = CASE WHEN s.desired_digest IS NOT DISTINCT FROM r.p THEN s.desired_at
                         ELSE CAST(:now AS timestamptz) END,
            polls_pending = CASE WHEN s.applied_digest IS NOT DISTINCT FROM r.p THEN 0
                            WHEN s.desired_digest IS NOT DISTINCT FROM r.p THEN s.polls_pending ELSE 1 END,
            desired_digest = r.p, next_switch_at = r.n
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d int, s text, p text, n timestamptz)
        WHERE s.device_id = r.d AND s.schedule_digest = r.s
        RETURNING {", ".join(f"s.{column}" for column in _COLUMNS)}
    """,  # noqa: S608 (only the constants above go in)
    "sqlite": f"""
        UPDATE device_state
        SET desired_at = CASE WHEN desired_digest IS json_extract(r.value, '$.p') THEN desired_at ELSE :now END,
            polls_pending = CASE WHEN applied_digest IS json_extract(r.value, '$.p') THEN 0
                            WHEN desired_digest IS json_extract(r.value, '$.p') THEN polls_pending ELSE 1 END,
            desired_digest = json_extract(r.value, '$.p'), next_switch_at = json_extract(r.value, '$.n')
        FROM json_each(:rows) AS r
        WHERE device_id = json_extract(r.value, '$.d') AND schedule_digest = json_extract(r.value, '$.s')
        RETURNING {", ".join(_COLUMNS)}
    """,  # noqa: S608 (only the constants above go in)
}

# The same report again under a new number: only the number is used up.
AGAIN = {
    "postgresql": """
        UPDATE device_state AS s SET last_sequence = r.q
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d int, q bigint)
        WHERE s.device_id = r.d AND s.last_sequence < r.q
    """,
    "sqlite": """
        UPDATE device_state SET last_sequence = json_extract(r.value, '$.q')
        FROM json_each(:rows) AS r
        WHERE device_id = json_extract(r.value, '$.d') AND last_sequence < json_extract(r.value, '$.q')
    """,
}

# Only for tablets whose inventory or findings may have changed.
FACTS_POSTGRESQL = """
UPDATE device_state AS s SET facts = r.f, facts_digest = r.g, failures = r.x, review_key = r.v
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(d int, f jsonb, g text, x jsonb, v text)
WHERE s.device_id = r.d
"""
FACTS_SQLITE = """
UPDATE device_state SET facts = json_extract(r.value, '$.f'), facts_digest = json_extract(r.value, '$.g'),
       failures = json_extract(r.value, '$.x'), review_key = json_extract(r.value, '$.v')
FROM json_each(:rows) AS r WHERE device_id = json_extract(r.value, '$.d')
"""

# In the order of polls.Standing.
_STANDING = """
    s.device_id, d.uid, s.key_thumbprint, s.config_version, s.schedule_digest, s.applied_digest, s.next_switch_at,
    s.fetched_version
"""
POLL = {
    "postgresql": f"""
        SELECT {_STANDING} FROM device_state AS s JOIN device AS d ON d.id = s.device_id
        WHERE s.device_id IN (SELECT CAST(jsonb_array_elements_text(CAST(:ids AS jsonb)) AS int))
    """,  # noqa: S608 (only the constant above goes in)
    "sqlite": f"""
        SELECT {_STANDING} FROM device_state AS s JOIN device AS d ON d.id = s.device_id
        WHERE s.device_id IN (SELECT value FROM json_each(:ids))
    """,  # noqa: S608 (only the constant above goes in)
}

# Tablets that are held, with the versions that they wait with: who of them waits in vain?
MOVED_ON = {
    "postgresql": """
        SELECT s.device_id FROM jsonb_each_text(CAST(:versions AS jsonb)) AS v
        JOIN device_state AS s ON s.device_id = CAST(v.key AS int)
        WHERE s.config_version <> CAST(v.value AS int) LIMIT :n
    """,
    "sqlite": """
        SELECT s.device_id FROM json_each(:versions) AS v
        JOIN device_state AS s ON s.device_id = CAST(v.key AS INTEGER)
        WHERE s.config_version <> v.value LIMIT :n
    """,
}

# Of two servers that answer one tablet, the one with the newer version is right.
FETCHED = {
    "postgresql": """
        UPDATE device_state AS s SET fetched_version = CAST(v.value AS int), fetched_at = CAST(:now AS timestamptz)
        FROM jsonb_each_text(CAST(:versions AS jsonb)) AS v
        WHERE s.device_id = CAST(v.key AS int) AND COALESCE(s.fetched_version, 0) < CAST(v.value AS int)
    """,
    "sqlite": """
        UPDATE device_state SET fetched_version = v.value, fetched_at = :now
        FROM json_each(:versions) AS v
        WHERE device_id = CAST(v.key AS INTEGER) AND COALESCE(fetched_version, 0) < v.value
    """,
}

# The rows come in the order of their numbers, so that two servers that write the same ones wait for each other.
# One from the future is of a server whose clock is ahead: it shall not hide for minutes where a tablet is.
PRESENCE = {
    "postgresql": """
        INSERT INTO device_presence AS p (device_id, polled_at, due_at, waits, is_at_school)
        SELECT d, p, u, w, s FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r(d int, p timestamptz, u timestamptz, w boolean, s boolean) ORDER BY d
        ON CONFLICT (device_id) DO UPDATE SET polled_at = excluded.polled_at, due_at = excluded.due_at,
            waits = excluded.waits, is_at_school = excluded.is_at_school
        WHERE p.polled_at <= excluded.polled_at OR p.polled_at > CAST(:latest AS timestamptz)
    """,
    "sqlite": """
        INSERT INTO device_presence AS p (device_id, polled_at, due_at, waits, is_at_school)
        SELECT json_extract(value, '$.d'), json_extract(value, '$.p'), json_extract(value, '$.u'),
               json_extract(value, '$.w'), json_extract(value, '$.s')
        FROM json_each(:rows) WHERE true
        ON CONFLICT (device_id) DO UPDATE SET polled_at = excluded.polled_at, due_at = excluded.due_at,
            waits = excluded.waits, is_at_school = excluded.is_at_school
        WHERE p.polled_at <= excluded.polled_at OR p.polled_at > :latest
    """,
}


@cache
def giving_rows(statement: str) -> TextualSelect:
    """Return one of these as SQLAlchemy's, made once: it looks one that it knows up faster than one that is like it."""
    return text(statement).columns(next_switch_at=UTCDateTime)
