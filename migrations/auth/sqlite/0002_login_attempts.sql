-- Log-in attempts that have failed or are under way, one row per user name and per address; rows past the window make
-- room. Revisions from before still use login_failures.
CREATE TABLE login_attempts (
    kind     TEXT    NOT NULL CHECK (kind IN ('username', 'address')),
    value    TEXT    NOT NULL,
    attempts INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    PRIMARY KEY (kind, value)
) STRICT;

CREATE INDEX login_attempts_since ON login_attempts (since);
