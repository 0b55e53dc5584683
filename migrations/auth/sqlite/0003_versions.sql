-- Counts the changes of a user: of two events about it the newer one has the higher number, whatever clocks say.
ALTER TABLE users ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
