-- What is known of products, which belong to another service: each fact is the newest that was told, or was asked for.
CREATE TABLE known_products (
    product_id        BIGINT PRIMARY KEY,
    -- None as long as the product has the name that the rows of stock have.
    name              TEXT,
    -- Counts the changes of the product, by the service that owns it; 0 for what was asked for.
    name_version      BIGINT NOT NULL DEFAULT 0,
    min_stock         BIGINT,
    min_stock_version BIGINT NOT NULL DEFAULT 0,
    -- Whether what is available of it is below min_stock, and others know.
    is_low            BOOLEAN NOT NULL DEFAULT FALSE
);
