//! Limits of log-ins under load, and changes of users whose tokens cannot be ended; see DOMAIN.md §3.

use crate::support::{Answer, Backend, TestApp, on_both_databases};
use serde_json::json;
use sqlx::Connection as _;

on_both_databases! {
    async fn of_many_wrong_log_ins_at_once_no_more_than_the_limit_are_tried(app) {
        let answers = futures::future::join_all((0..30).map(|_| log_in(app, "cliente", "incorrecta"))).await;
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(400), count(429)), (10, 20));
        for closed in answers.iter().filter(|answer| answer.status == 429) {
            let seconds: u64 = closed.header("retry-after").parse().expect("seconds");
            assert!((1..=900).contains(&seconds), "{seconds}");
        }
        // What is refused counts no more: not for the address either, which would be closed after 50.
        for _ in 0..25 {
            assert_eq!(log_in(app, "cliente", "cliente123").await.status, 429);
        }
        assert_eq!(log_in(app, "operario", "operario123").await.status, 200);
    }

    async fn failures_before_a_good_log_in_are_forgotten(app) {
        for _ in 0..2 {
            for _ in 0..9 {
                assert_eq!(log_in(app, "cliente", "incorrecta").await.status, 400);
            }
            assert_eq!(log_in(app, "cliente", "cliente123").await.status, 200);
        }
    }

    async fn good_log_ins_close_neither_a_name_nor_an_address(app) {
        for number in 1..=51 {
            assert_eq!(log_in(app, "cliente", "cliente123").await.status, 200, "log-in {number}");
        }
    }

    async fn a_wrong_current_password_counts_as_a_wrong_log_in(app) {
        let token = app.token("cliente").await;
        let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
        let path = "/api/auth/password/";
        for _ in 0..11 {
            // The current password is right: what is wrong with the new one is no failure.
            assert_eq!(app.post(path, &token, &change("cliente123", "corta")).await.status, 400);
        }
        let wrong = change("incorrecta", "correo-lento-7");
        let answers = futures::future::join_all((0..15).map(|_| app.post(path, &token, &wrong))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 400).count(), 10);
        assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 5);
        assert_eq!(log_in(app, "cliente", "cliente123").await.status, 429);
    }
}

mod a_change_of_a_user_whose_tokens_cannot_be_ended_is_not_made {
    use super::*;

    async fn run(backend: Backend) {
        let Some(app) = TestApp::start(backend).await else { return };
        let host = match backend {
            Backend::Sqlite => format!("sqlite://{}/data/db/provesi_host.sqlite3", app.folder().display()),
            Backend::Postgres => format!("{}/provesi_host_db", app.url()),
        };
        let (admin, cliente) = (app.token("admin").await, app.token("cliente").await);
        let role = json!({ "role": "OPERARIO" });
        let password = json!({ "current_password": "cliente123", "new_password": "correo-lento-7" });

        alter(backend, &host, "ALTER TABLE revocations RENAME TO away").await;
        assert_eq!(app.patch("/api/users/3/", &admin, &role).await.status, 503);
        assert_eq!(app.get("/api/users/3/", &admin).await.body["role"], "CLIENTE", "the role is as it was");
        assert_eq!(app.post("/api/auth/password/", &cliente, &password).await.status, 503);
        assert_eq!(log_in(&app, "cliente", "cliente123").await.status, 200, "the password is as it was");
        assert_eq!(app.get("/api/auth/profile/", &cliente).await.status, 200, "the token is as it was");

        alter(backend, &host, "ALTER TABLE away RENAME TO revocations").await;
        assert_eq!(app.post("/api/auth/password/", &cliente, &password).await.status, 200);
        assert_eq!(app.get("/api/auth/profile/", &cliente).await.status, 401);
        let changed = app.patch("/api/users/3/", &admin, &role).await;
        assert_eq!((changed.status, &changed.body["role"]), (200, &json!("OPERARIO")));
        app.stop().await;
    }

    /// Changes the host's own database behind its back.
    async fn alter(backend: Backend, url: &str, statement: &'static str) {
        match backend {
            Backend::Sqlite => {
                let mut connection = sqlx::SqliteConnection::connect(url).await.expect("the file is there");
                sqlx::query(statement).execute(&mut connection).await.expect("the statement is good");
            }
            Backend::Postgres => {
                let mut connection = sqlx::PgConnection::connect(url).await.expect("the server is there");
                sqlx::query(statement).execute(&mut connection).await.expect("the statement is good");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        run(Backend::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        run(Backend::Postgres).await;
    }
}

async fn log_in(app: &TestApp, username: &str, password: &str) -> Answer {
    app.post("/api/auth/login/", "", &json!({ "username": username, "password": password })).await
}
