CREATE TABLE generation (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL) STRICT;
INSERT INTO generation (one, n) VALUES (1, 0);
CREATE TABLE components (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL, created_us INTEGER NOT NULL) STRICT;
CREATE TABLE revisions (
    service TEXT NOT NULL,
    number INTEGER NOT NULL,
    digest TEXT NOT NULL,
    version TEXT NOT NULL,
    grants TEXT NOT NULL,
    limits TEXT NOT NULL,
    migrations TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    refused TEXT,
    served INTEGER NOT NULL,
    PRIMARY KEY (service, number)
) STRICT;
CREATE TABLE pointers (
    service TEXT PRIMARY KEY,
    weights TEXT NOT NULL,
    previous TEXT,
    canary INTEGER,
    changed_us INTEGER NOT NULL
) STRICT;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    service TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    revision INTEGER,
    digest TEXT,
    who TEXT NOT NULL,
    origin TEXT NOT NULL,
    reason TEXT
) STRICT;
CREATE INDEX audit_service ON audit (service, id);
