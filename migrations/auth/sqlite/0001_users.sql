-- Users and failed log-ins. Times in µs since 1970 (UTC).
CREATE TABLE users (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    username        TEXT    NOT NULL UNIQUE,
    password_hash   TEXT    NOT NULL,
    email           TEXT    NOT NULL,
    first_name      TEXT    NOT NULL,
    last_name       TEXT    NOT NULL,
    role            TEXT    NOT NULL CHECK (role IN ('ADMIN', 'OPERARIO', 'CLIENTE')),
    phone           TEXT,
    address         TEXT,
    document_type   TEXT CHECK (document_type IN ('CC', 'CE', 'NIT', 'PASSPORT')),
    document_number TEXT UNIQUE,
    city            TEXT,
    is_active       INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

-- One row per failure, by user name and by address; rows past the window make room.
CREATE TABLE login_failures (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind   TEXT    NOT NULL CHECK (kind IN ('username', 'address')),
    value  TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT;

CREATE INDEX login_failures_value ON login_failures (kind, value, at);
CREATE INDEX login_failures_at ON login_failures (at);
