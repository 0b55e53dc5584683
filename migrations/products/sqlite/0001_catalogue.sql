-- Suppliers, products and the variables that measurements name. Money in cents, times in µs since 1970 (UTC).
CREATE TABLE suppliers (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    name           TEXT    NOT NULL UNIQUE,
    nit            TEXT    NOT NULL UNIQUE,
    email          TEXT    NOT NULL UNIQUE,
    phone          TEXT    NOT NULL,
    address        TEXT    NOT NULL,
    city           TEXT    NOT NULL,
    contact_person TEXT    NOT NULL,
    is_active      INTEGER NOT NULL,
    credit_days    INTEGER NOT NULL,
    rating_cents   INTEGER NOT NULL,
    notes          TEXT,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE products (
    id                        INTEGER PRIMARY KEY AUTOINCREMENT,
    name                      TEXT    NOT NULL UNIQUE,
    description               TEXT,
    sku                       TEXT UNIQUE,
    supplier_id               INTEGER REFERENCES suppliers (id),
    unit_price_cents          INTEGER NOT NULL,
    cost_price_cents          INTEGER NOT NULL,
    category                  TEXT,
    min_stock                 INTEGER NOT NULL,
    max_stock                 INTEGER NOT NULL,
    is_active                 INTEGER NOT NULL,
    requires_special_handling INTEGER NOT NULL,
    -- Name, SKU and description in lower case: SQLite folds only ASCII by itself.
    search_text               TEXT    NOT NULL,
    created_at                INTEGER NOT NULL,
    updated_at                INTEGER NOT NULL,
    CONSTRAINT products_stock_check CHECK (min_stock <= max_stock)
) STRICT;

CREATE INDEX products_supplier_id ON products (supplier_id);
CREATE INDEX products_category ON products (category);

CREATE TABLE variables (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL,
    product_id INTEGER REFERENCES products (id)
) STRICT;

CREATE INDEX variables_product_id ON variables (product_id);
