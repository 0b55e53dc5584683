-- Orders of one product each. Money in cents, times in µs since 1970 (UTC).
CREATE TABLE orders (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id        INTEGER NOT NULL,
    product_name      TEXT    NOT NULL,
    units             INTEGER NOT NULL,
    status            TEXT    NOT NULL CHECK (status IN
        ('PENDING', 'CONFIRMED', 'REJECTED', 'CANCELLED', 'IN_TRANSIT', 'DELIVERED')),
    -- What is left to be done with the stock of other services: nothing, or PLACE, SETTLE, RELEASE.
    step              TEXT CHECK (step IN ('PLACE', 'SETTLE', 'RELEASE')),
    warehouse_id      INTEGER,
    warehouse_name    TEXT,
    customer_id       INTEGER,
    customer_name     TEXT,
    delivery_address  TEXT,
    delivery_zone     TEXT,
    total_price_cents INTEGER NOT NULL,
    notes             TEXT,
    latitude          REAL    NOT NULL,
    longitude         REAL    NOT NULL,
    main_warehouse    TEXT,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    confirmed_at      INTEGER,
    delivered_at      INTEGER
) STRICT;

CREATE INDEX orders_customer_id ON orders (customer_id);
CREATE INDEX orders_status ON orders (status);
CREATE INDEX orders_product_name ON orders (product_name);
CREATE INDEX orders_unfinished ON orders (updated_at) WHERE step IS NOT NULL;
