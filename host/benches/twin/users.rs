//! Users, as other parts of the server see them.

use super::App;
use super::answer::ApiError;
use super::database::on;

/// Finds the name by which an active user is shown.
pub(super) async fn display_name(app: &App, id: i64) -> Result<Option<String>, ApiError> {
    const FIND: &str = "SELECT id, username, first_name, last_name, role FROM users WHERE id = $1 AND is_active = $2";
    let found = on!(app.auth.reads, pool => {
        sqlx::query_as::<_, (i64, String, String, String, String)>(FIND).bind(id).bind(true).fetch_optional(pool).await
    })?;
    Ok(found.map(|(_, username, first, last, _)| {
        let name = format!("{first} {last}").trim().to_owned();
        if name.is_empty() { username } else { name }
    }))
}
