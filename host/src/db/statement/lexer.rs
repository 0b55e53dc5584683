//! Splits SQL into as much as the host has to know: words, quoted texts, parentheses, semicolons.
//!
//! PostgreSQL and SQLite do not read every text alike. What they read differently is refused, so that nothing can hide
//! from this reading that one of them sees.

/// A part of a statement; blanks and comments are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or a name.
    Word(&'a str),
    /// What is between quotes, single or double; a doubled quote makes two of one text.
    Quoted(&'a str),
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `$1`, by its number.
    Parameter(usize),
    /// A digit, or a character of an operator.
    Other,
}

/// The highest number of a parameter: what SQLite takes, and less than PostgreSQL does.
const MAX_PARAMETER: usize = 32_766;

/// Walks over a script by token.
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

// === impl Lexer ===

impl<'a> Lexer<'a> {
    /// Starts at the beginning.
    ///
    /// # Errors
    /// When the text holds a NUL: there it would end for the database, and not for its driver.
    pub(super) fn new(text: &'a str) -> Result<Self, String> {
        if text.contains('\0') { Err("a NUL is not allowed".to_owned()) } else { Ok(Self { rest: text }) }
    }

    /// Returns the first word of the next statement, in lower case, past semicolons; none at the end.
    pub(super) fn keyword(&mut self) -> Result<Option<String>, String> {
        loop {
            match self.token()? {
                Some(Token::Semicolon) => {}
                Some(Token::Word(word)) => return Ok(Some(word.to_ascii_lowercase())),
                Some(_) => return Err("the statement starts with no keyword".to_owned()),
                None => return Ok(None),
            }
        }
    }

    /// Returns the next token; none at the end.
    pub(super) fn token(&mut self) -> Result<Option<Token<'a>>, String> {
        while self.skip_blank()? {}
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let token = match first {
            ';' => Token::Semicolon,
            '(' => Token::Open,
            ')' => Token::Close,
            '\'' | '"' => return self.quoted(first).map(Some),
            '$' => return self.parameter().map(Some),
            '`' => return Err("backticks are not allowed, use double quotes".to_owned()),
            '[' => {
                self.check_bracket()?;
                Token::Other
            }
            first if is_name(first) && !first.is_ascii_digit() => {
                let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
                return Ok(Some(Token::Word(self.advance(end))));
            }
            _ => Token::Other,
        };
        self.advance(first.len_utf8());
        Ok(Some(token))
    }

    /// Skips blanks or one comment; says whether there was one.
    fn skip_blank(&mut self) -> Result<bool, String> {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
        let mut skipped = trimmed.len() < self.rest.len();
        self.rest = trimmed;
        if self.rest.starts_with("--") {
            let comment = self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
            // PostgreSQL ends the comment there, and SQLite does not.
            if comment.trim_end_matches('\r').contains('\r') {
                return Err("carriage returns inside comments are not allowed".to_owned());
            }
            skipped = true;
        } else if self.rest.starts_with("/*") {
            // PostgreSQL nests comments and SQLite does not; refusing nested ones keeps both readings the same.
            self.advance(2);
            let end = self.rest.find("*/").ok_or("a comment has no end")?;
            if self.rest[..end].contains("/*") {
                return Err("comments inside comments are not allowed".to_owned());
            }
            self.advance(end + 2);
            skipped = true;
        }
        Ok(skipped)
    }

    /// Takes a quoted text; a doubled quote inside reads as two texts, which ends at the same place.
    fn quoted(&mut self, quote: char) -> Result<Token<'a>, String> {
        let rest: &'a str = self.rest;
        let inner = &rest[1..];
        let end = inner.find(quote).ok_or("a quoted text has no end")?;
        // `E'\''` ends elsewhere in PostgreSQL than in SQLite.
        if inner[..end].contains('\\') {
            return Err("backslashes in quoted texts are not allowed, use a parameter".to_owned());
        }
        self.advance(end + 2);
        Ok(Token::Quoted(&inner[..end]))
    }

    /// Takes a parameter (`$1`), or refuses PostgreSQL's dollar quotes, which SQLite reads otherwise.
    fn parameter(&mut self) -> Result<Token<'a>, String> {
        self.advance(1);
        let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        if digits == 0 {
            return Err("dollar quotes are not allowed".to_owned());
        }
        let digits = self.advance(digits);
        let number = digits
            .parse()
            .ok()
            .filter(|_| !digits.starts_with('0'))
            .filter(|number| (1..=MAX_PARAMETER).contains(number));
        number.map(Token::Parameter).ok_or_else(|| format!("parameters are counted from $1 to ${MAX_PARAMETER}"))
    }

    /// Looks into brackets: a name for SQLite, which may hold anything, and an index for PostgreSQL.
    fn check_bracket(&self) -> Result<(), String> {
        let end = self.rest.find(']').ok_or("a bracket has no end")?;
        let inner = &self.rest[..end];
        if inner.contains(['\'', '"', '`', ';']) || inner.contains("--") || inner.contains("/*") {
            return Err("quotes and comments in brackets are not allowed".to_owned());
        }
        Ok(())
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (passed, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        passed
    }
}

/// Says whether a character can be in a name, as both databases see it; dollars can, and are refused above.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}
