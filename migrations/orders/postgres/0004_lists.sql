-- Lists are read in the order of an index, however many orders there are: of all, of a customer, and of a status. The
-- two that go are beginnings of those that come.
CREATE INDEX orders_list ON orders (created_at, id);
CREATE INDEX orders_list_customer ON orders (customer_id, created_at, id);
CREATE INDEX orders_list_status ON orders (status, created_at, id);
DROP INDEX orders_customer_id;
DROP INDEX orders_status;
