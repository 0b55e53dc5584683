-- What happened, as long as a subscriber has not handled it.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    source TEXT NOT NULL,
    time_us INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;

-- Who has not handled it yet.
CREATE TABLE deliveries (
    subscriber TEXT NOT NULL,
    event_seq INTEGER NOT NULL REFERENCES events (seq),
    failures INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subscriber, event_seq)
) STRICT;
CREATE INDEX deliveries_event ON deliveries (event_seq);

-- Keys that wait, because the subscriber has failed at one of their events.
CREATE TABLE stalled (
    subscriber TEXT NOT NULL,
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    until_us INTEGER NOT NULL,
    PRIMARY KEY (subscriber, source, key)
) STRICT;

-- What a subscriber could not handle. It has no event above it: both brokers bury here.
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    source TEXT NOT NULL,
    time_us INTEGER NOT NULL,
    payload BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    dead_us INTEGER NOT NULL,
    UNIQUE (subscriber, event_id)
) STRICT;
