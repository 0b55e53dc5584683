CREATE TABLE generation (one BIGINT PRIMARY KEY CHECK (one = 1), n BIGINT NOT NULL);
INSERT INTO generation (one, n) VALUES (1, 0);
CREATE TABLE components (digest TEXT PRIMARY KEY, bytes BYTEA NOT NULL, created_us BIGINT NOT NULL);
CREATE TABLE revisions (
    service TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    version TEXT NOT NULL,
    grants TEXT NOT NULL,
    limits TEXT NOT NULL,
    migrations TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    refused TEXT,
    served BIGINT NOT NULL,
    PRIMARY KEY (service, number)
);
CREATE TABLE pointers (
    service TEXT PRIMARY KEY,
    weights TEXT NOT NULL,
    previous TEXT,
    canary BIGINT,
    changed_us BIGINT NOT NULL
);
CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_us BIGINT NOT NULL,
    service TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    revision BIGINT,
    digest TEXT,
    who TEXT NOT NULL,
    origin TEXT NOT NULL,
    reason TEXT
);
CREATE INDEX audit_service ON audit (service, id);
