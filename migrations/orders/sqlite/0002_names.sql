-- Names of products and customers that were changed after orders had copied them, each the newest that was told.
CREATE TABLE product_names (
    product_id INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    -- Counts the changes of the product, by the service that owns it.
    version    INTEGER NOT NULL
) STRICT;

CREATE INDEX product_names_name ON product_names (name);

CREATE TABLE customer_names (
    customer_id INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL
) STRICT;

CREATE INDEX orders_product_id ON orders (product_id);
