-- Warehouses, what lies in them, what orders hold, and measurements. Times in µs since 1970 (UTC).
CREATE TABLE warehouses (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL UNIQUE,
    latitude   REAL    NOT NULL,
    longitude  REAL    NOT NULL,
    address    TEXT,
    phone      TEXT,
    capacity   INTEGER NOT NULL,
    is_active  INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE stock (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id        INTEGER NOT NULL,
    product_name      TEXT    NOT NULL,
    warehouse_id      INTEGER NOT NULL REFERENCES warehouses (id),
    quantity          INTEGER NOT NULL,
    reserved_quantity INTEGER NOT NULL DEFAULT 0,
    updated_at        INTEGER NOT NULL,
    last_restock_date INTEGER,
    UNIQUE (product_id, warehouse_id),
    CONSTRAINT stock_quantity_check CHECK (0 <= reserved_quantity AND reserved_quantity <= quantity)
) STRICT;

CREATE INDEX stock_warehouse_id ON stock (warehouse_id);

-- What an order holds (HELD), has taken for good (SETTLED) or gave back and can never hold again (RELEASED).
CREATE TABLE reservations (
    order_id     INTEGER PRIMARY KEY,
    product_id   INTEGER NOT NULL,
    warehouse_id INTEGER NOT NULL,
    units        INTEGER NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('HELD', 'SETTLED', 'RELEASED')),
    updated_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE measurements (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    variable_name TEXT    NOT NULL,
    value         REAL,
    unit          TEXT    NOT NULL,
    measured_at   INTEGER NOT NULL,
    warehouse_id  INTEGER NOT NULL REFERENCES warehouses (id),
    product_id    INTEGER,
    product_name  TEXT
) STRICT;

CREATE INDEX measurements_product_id ON measurements (product_id);
CREATE INDEX measurements_warehouse_id ON measurements (warehouse_id);
CREATE INDEX measurements_measured_at ON measurements (measured_at);
