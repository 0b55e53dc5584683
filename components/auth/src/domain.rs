//! The rules of users, pure.

use provesi_sdk::Choice;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// The warehouses' work.
    Operario,
    /// One's own orders.
    Cliente,
}

impl Choice for Role {
    const ALL: &'static [(&'static str, Self)] =
        &[("ADMIN", Self::Admin), ("OPERARIO", Self::Operario), ("CLIENTE", Self::Cliente)];
}

impl Role {
    /// Returns the name that is stored and sent.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }
}

/// The kind of an identity document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentType(&'static str);

impl Choice for DocumentType {
    const ALL: &'static [(&'static str, Self)] =
        &[("CC", Self("CC")), ("CE", Self("CE")), ("NIT", Self("NIT")), ("PASSPORT", Self("PASSPORT"))];
}

impl DocumentType {
    /// Returns the name that is stored and sent.
    pub fn name(self) -> &'static str {
        self.0
    }
}

/// Returns the name that people read: first and last name, or the user name when both are empty.
pub fn display_name(username: &str, first_name: &str, last_name: &str) -> String {
    let name = format!("{first_name} {last_name}");
    match name.trim() {
        "" => username.to_owned(),
        name => name.to_owned(),
    }
}

/// Says whether a user name has only letters, digits and `_.@+-`.
pub fn is_username(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || "_.@+-".contains(c))
}

/// Says what is wrong with a password, if anything is.
pub fn password_problem(password: &str, username: &str) -> Option<&'static str> {
    if password.chars().count() < 8 {
        return Some("La contraseña es demasiado corta. Debe contener al menos 8 caracteres.");
    }
    let lower = password.to_lowercase();
    if lower == username.to_lowercase() {
        return Some("La contraseña no puede ser igual al nombre de usuario.");
    }
    if COMMON.contains(&lower.as_str()) || is_run(&lower) {
        return Some("La contraseña es demasiado común.");
    }
    None
}

/// Says whether a text repeats one character or counts up or down by one.
fn is_run(text: &str) -> bool {
    let steps: Vec<i32> = text
        .chars()
        .zip(text.chars().skip(1))
        .map(|(a, b)| i32::try_from(u32::from(b)).unwrap_or(0) - i32::try_from(u32::from(a)).unwrap_or(0))
        .collect();
    steps.first().is_some_and(|first| first.abs() <= 1 && steps.iter().all(|step| step == first))
}

/// The commonest passwords of eight characters and more, in lower case, and those that people here would try.
const COMMON: [&str; 48] = [
    "password",
    "password1",
    "password123",
    "passw0rd",
    "p@ssword",
    "p@ssw0rd",
    "contraseña",
    "contrasena",
    "contraseña1",
    "contrasena1",
    "contrasena123",
    "1234567890",
    "qwertyuiop",
    "qwerty123",
    "qwerty12",
    "qwertyui",
    "asdfghjkl",
    "asdfasdf",
    "zxcvbnm1",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "q1w2e3r4",
    "abcd1234",
    "abc12345",
    "a1b2c3d4",
    "iloveyou",
    "teamo123",
    "princess",
    "princesa",
    "sunshine",
    "football",
    "futbol123",
    "baseball",
    "superman",
    "batman123",
    "welcome1",
    "bienvenido",
    "letmein1",
    "trustno1",
    "dragon123",
    "monkey123",
    "11223344",
    "12341234",
    "colombia",
    "colombia1",
    "provesi1",
    "provesi123",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_name_is_called_by_the_user_name() {
        assert_eq!(display_name("ana", "Ana", "Ruiz"), "Ana Ruiz");
        assert_eq!(display_name("ana", "", "Ruiz"), "Ruiz");
        assert_eq!(display_name("ana", "Ana", ""), "Ana");
        assert_eq!(display_name("ana", "", ""), "ana");
    }

    #[test]
    fn user_names_are_as_the_contract_says() {
        assert!(is_username("ana.maría+1@x-y_z"));
        assert!(!is_username("ana maria") && !is_username("a/b"));
    }

    #[test]
    fn weak_passwords_are_named() {
        for weak in ["corta", "Password123", "colombia", "aaaaaaaa", "12345678", "87654321", "abcdefgh", "Ana.Maria1"] {
            assert!(password_problem(weak, "ana.maria1").is_some(), "{weak}");
        }
        for good in ["correo-lento-7", "ñandú veloz", "admin1234567x"] {
            assert_eq!(password_problem(good, "ana"), None, "{good}");
        }
    }
}
