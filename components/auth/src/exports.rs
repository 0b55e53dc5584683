//! What auth offers: the typed interface `directory`, and the first users of an empty database.

#![expect(unsafe_code, reason = "the generated glue of the component model")]

use provesi_sdk::bootstrap::{Bootstrap, StartMode};
use provesi_sdk::sql::{Connection, Database, Transaction};
use provesi_sdk::{clock, fill_empty, params, passwords, row};

use crate::domain;
use crate::store::{self, Fields};

mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        reason = "generated"
    )]
    wit_bindgen::generate!({ path: "../../wit/auth", world: "provesi:auth/peers" });
    pub(super) use self::exports::provesi::auth::directory::{Error, Guest, User};
    pub(super) use export as export_peers;
}

use generated::{Error, Guest, User};

struct Component;

generated::export_peers!(Component with_types_in generated);
provesi_sdk::bootstrap::export_bootstrap!(Component with_types_in provesi_sdk::bootstrap);

row! {
    struct Found {
        id: i64,
        username: String,
        first_name: String,
        last_name: String,
        role: String,
    }
}

impl Guest for Component {
    fn find(user_id: i64) -> Result<User, Error> {
        const FIND: &str =
            "SELECT id, username, first_name, last_name, role FROM users WHERE id = $1 AND is_active = $2";
        provesi_sdk::report_panics();
        let found = Database.first::<Found>(FIND, params![user_id, true]).map_err(|_| Error::Unavailable)?;
        let found = found.ok_or(Error::NotFound)?;
        let display_name = domain::display_name(&found.username, &found.first_name, &found.last_name);
        Ok(User { id: found.id, username: found.username, display_name, role: found.role })
    }
}

impl Bootstrap for Component {
    fn run(mode: StartMode) -> Result<Vec<String>, String> {
        fill_empty("users", |tx| if mode == StartMode::Demo { demo(tx) } else { first_admin(tx) })
    }
}

fn demo(tx: &Transaction) -> provesi_sdk::Result<Vec<String>> {
    // User name, e-mail, first and last name, role, phone, address; the password is the name and 123.
    const USERS: [(&str, &str, &str, &str, &str, Option<&str>, Option<&str>); 3] = [
        ("admin", "admin@logistica.com", "Administrador", "Sistema", "ADMIN", None, None),
        ("operario", "operario@logistica.com", "Juan", "Perez", "OPERARIO", Some("3001234567"), None),
        (
            "cliente",
            "cliente@logistica.com",
            "Maria",
            "Garcia",
            "CLIENTE",
            Some("3009876543"),
            Some("Calle 123 #45-67, Bogota"),
        ),
    ];
    for (username, email, first_name, last_name, role, phone, address) in USERS {
        let user = user(username, &format!("{username}123"), email, role)?;
        let user = Fields {
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            phone: phone.map(str::to_owned),
            address: address.map(str::to_owned),
            ..user
        };
        store::insert(tx, &user, clock::now())?;
    }
    Ok(vec!["demo users admin/admin123, operario/operario123, cliente/cliente123".to_owned()])
}

fn first_admin(tx: &Transaction) -> provesi_sdk::Result<Vec<String>> {
    let password = random_password();
    store::insert(tx, &user("admin", &password, "admin@localhost.localdomain", "ADMIN")?, clock::now())?;
    Ok(vec![format!("first user admin, password {password} (shown only now; change it)")])
}

fn user(username: &str, password: &str, email: &str, role: &str) -> provesi_sdk::Result<Fields> {
    Ok(Fields {
        username: username.to_owned(),
        password_hash: passwords::hash(password)?,
        email: email.to_owned(),
        first_name: String::new(),
        last_name: String::new(),
        role: role.to_owned(),
        phone: None,
        address: None,
        document_type: None,
        document_number: None,
        city: None,
        is_active: true,
    })
}

/// Twenty characters out of 32, 100 bits, from the host's secure generator.
fn random_password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    provesi_sdk::random::bytes::<20>().iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}
