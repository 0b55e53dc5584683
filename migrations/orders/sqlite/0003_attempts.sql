-- When the task last took an order up, as long as nothing else has changed it since; none before that.
ALTER TABLE orders ADD COLUMN attempted_at INTEGER;

-- In whose turn it is. Earlier revisions go by orders_unfinished.
CREATE INDEX orders_turn ON orders (COALESCE(attempted_at, updated_at)) WHERE step IS NOT NULL;
