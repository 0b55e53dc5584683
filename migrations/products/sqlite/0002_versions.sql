-- Counts the changes of a product: of two events about it the newer one has the higher number, whatever clocks say.
ALTER TABLE products ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
