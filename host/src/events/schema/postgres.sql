-- What happened, as long as a subscriber has not handled it.
CREATE TABLE events (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    source TEXT NOT NULL,
    time_us BIGINT NOT NULL,
    payload BYTEA NOT NULL
);

-- Who has not handled it yet.
CREATE TABLE deliveries (
    subscriber TEXT NOT NULL,
    event_seq BIGINT NOT NULL REFERENCES events (seq),
    failures BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (subscriber, event_seq)
);
CREATE INDEX deliveries_event ON deliveries (event_seq);

-- Keys that wait, because the subscriber has failed at one of their events.
CREATE TABLE stalled (
    subscriber TEXT NOT NULL,
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    until_us BIGINT NOT NULL,
    PRIMARY KEY (subscriber, source, key)
);

-- What a subscriber could not handle. It has no event above it: both brokers bury here.
CREATE TABLE dead_letters (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    source TEXT NOT NULL,
    time_us BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    attempts BIGINT NOT NULL,
    reason TEXT NOT NULL,
    dead_us BIGINT NOT NULL,
    UNIQUE (subscriber, event_id)
);
