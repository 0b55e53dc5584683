//! Reads just enough of a statement to keep a guest inside its transaction and its database.
//!
//! Only plain data statements pass, one at a time: no transaction control, which would break the host's own,
//! no ATTACH, PRAGMA, SET, COPY, LISTEN or DO. What the words inside mean is the database's business: roles
//! (PostgreSQL) and an authorizer (SQLite) are the second wall.

/// What a statement does, as far as its first word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only reads.
    Read,
    /// It may write.
    Write,
}

/// Admits a single data statement.
///
/// # Errors
/// When it is anything else; the text says what.
pub(super) fn classify(statement: &str) -> Result<Kind, String> {
    let mut words = Lexer { rest: statement };
    let first = words.next_word()?.ok_or("the statement is empty")?;
    let kind = match first.to_ascii_lowercase().as_str() {
        "select" | "values" => Kind::Read,
        "insert" | "update" | "delete" | "replace" | "with" => Kind::Write,
        other => return Err(format!("statements that start with {other:?} are not allowed")),
    };
    words.expect_single()?;
    Ok(kind)
}

/// Admits the statements of a migration: anything but what reaches out of the transaction or the database.
///
/// # Errors
/// When one of them does; the text says which.
pub(super) fn check_migration(script: &str) -> Result<(), String> {
    const DENIED: [&str; 17] = [
        "abort",
        "attach",
        "begin",
        "checkpoint",
        "commit",
        "copy",
        "detach",
        "end",
        "listen",
        "load",
        "pragma",
        "release",
        "rollback",
        "savepoint",
        "start",
        "vacuum",
        "reset",
    ];
    let mut words = Lexer { rest: script };
    while let Some(first) = words.next_word()? {
        let first = first.to_ascii_lowercase();
        if DENIED.contains(&first.as_str()) {
            return Err(format!("statements that start with {first:?} are not allowed in a migration"));
        }
        words.skip_statement()?;
    }
    Ok(())
}

/// Walks over a script by token: quoted texts and comments hide what is in them.
struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    /// Returns the next word of a statement, past blanks, comments and semicolons.
    fn next_word(&mut self) -> Result<Option<&'a str>, String> {
        while self.skip_blank()? || self.take(";") {}
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        if end == 0 && !self.rest.is_empty() {
            return Err("the statement starts with no keyword".to_owned());
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok((!word.is_empty()).then_some(word))
    }

    /// Reads on to the end and complains of a second statement.
    fn expect_single(&mut self) -> Result<(), String> {
        self.skip_statement()?;
        while self.skip_blank()? || self.take(";") {}
        if self.rest.is_empty() { Ok(()) } else { Err("more than one statement".to_owned()) }
    }

    /// Reads on past the next semicolon.
    fn skip_statement(&mut self) -> Result<(), String> {
        loop {
            if self.skip_blank()? {
                continue;
            }
            let Some(next) = self.rest.chars().next() else { return Ok(()) };
            match next {
                ';' => {
                    self.advance(1);
                    return Ok(());
                }
                '\'' | '"' | '`' => self.skip_quoted(next)?,
                '[' => self.advance(1),
                '$' => self.skip_dollar()?,
                other => self.advance(other.len_utf8()),
            }
        }
    }

    /// Skips blanks or one comment; says whether there was one.
    fn skip_blank(&mut self) -> Result<bool, String> {
        let trimmed = self.rest.trim_start();
        let mut skipped = trimmed.len() < self.rest.len();
        self.rest = trimmed;
        if self.rest.starts_with("--") {
            self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
            skipped = true;
        } else if self.rest.starts_with("/*") {
            // PostgreSQL nests comments and SQLite does not; refusing nested ones keeps both readings the same.
            let end = self.rest.find("*/").ok_or("a comment has no end")?;
            if self.rest[2..end].contains("/*") {
                return Err("comments inside comments are not allowed".to_owned());
            }
            self.advance(end + 2);
            skipped = true;
        }
        Ok(skipped)
    }

    /// Skips a quoted text; a doubled quote inside reads as two texts, which ends at the same place.
    fn skip_quoted(&mut self, quote: char) -> Result<(), String> {
        let end = self.rest[1..].find(quote).ok_or("a quoted text has no end")?;
        // `E'\''` ends elsewhere in PostgreSQL than in SQLite.
        if self.rest[1..=end].contains('\\') {
            return Err("backslashes in quoted texts are not allowed, use a parameter".to_owned());
        }
        self.advance(end + 2);
        Ok(())
    }

    /// Skips a parameter (`$1`), or refuses PostgreSQL's dollar quotes, which SQLite reads otherwise.
    fn skip_dollar(&mut self) -> Result<(), String> {
        self.advance(1);
        let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        if digits == 0 {
            return Err("dollar quotes are not allowed".to_owned());
        }
        self.advance(digits);
        Ok(())
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest.starts_with(token);
        if found {
            self.advance(token.len());
        }
        found
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_data_statements_pass() {
        for (statement, kind) in [
            ("SELECT 1", Kind::Read),
            ("  -- why\n select ';' /* ; */ ;", Kind::Read),
            ("INSERT INTO t (a) VALUES ($1) RETURNING id", Kind::Write),
            ("WITH x AS (SELECT 1) SELECT * FROM x", Kind::Write),
            ("UPDATE t SET a = 'it''s; fine' WHERE \"odd;name\" = $12", Kind::Write),
        ] {
            assert_eq!(classify(statement), Ok(kind), "{statement}");
        }
    }

    #[test]
    fn whatever_reaches_out_is_refused() {
        for statement in [
            "",
            ";",
            "  -- only a comment",
            "BEGIN",
            "commit",
            "ROLLBACK",
            "SAVEPOINT a",
            "ATTACH 'x' AS y",
            "PRAGMA user_version",
            "SET ROLE postgres",
            "RESET ROLE",
            "COPY t FROM PROGRAM 'id'",
            "LISTEN c",
            "DO 'x'",
            "CREATE TABLE t (a int)",
            "DROP TABLE t",
            "VACUUM INTO 'x'",
            "EXPLAIN SELECT 1",
            "SELECT 1; COMMIT",
            "SELECT 1;;; SELECT 2",
            "SELECT '",
            "SELECT /* /* */ 1",
            "SELECT /*",
            "SELECT E'\\'; COMMIT --'",
            "SELECT $$;$$",
            "SELECT $a$;$a$",
            "(SELECT 1)",
        ] {
            assert!(classify(statement).is_err(), "{statement:?} passed");
        }
    }

    #[test]
    fn a_migration_cannot_end_its_own_transaction() {
        assert_eq!(check_migration("CREATE TABLE t (a TEXT);\n-- next\nCREATE INDEX i ON t (a);\n"), Ok(()));
        for script in ["CREATE TABLE t (a TEXT); COMMIT;", "pragma journal_mode = off", "/* x */ end", "SELECT '"] {
            assert!(check_migration(script).is_err(), "{script:?} passed");
        }
    }
}
