//! One list of twenty products from SQLite, layer by layer.

use criterion::Criterion;
use provesi::db::Value;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::calls;
use super::rooms::{Rooms, request};

/// What the service asks for when it lists products.
const LIST: &str = "SELECT p.id, p.name, p.description, p.sku, p.supplier_id, s.name, p.unit_price_cents, \
    p.cost_price_cents, p.category, p.min_stock, p.max_stock, p.is_active, p.requires_special_handling, \
    p.created_at, p.updated_at FROM products p LEFT JOIN suppliers s ON s.id = p.supplier_id \
    WHERE p.is_active = $1 ORDER BY p.name, p.id";

/// The driver alone, the room `db` with its packed rows, the service in a fresh instance.
pub(crate) fn layers(criterion: &mut Criterion, rooms: &Rooms) -> anyhow::Result<()> {
    let pool = rooms.tokio.block_on(connect(rooms))?;
    for (what, statement) in [("1 number", "SELECT 1 WHERE $1"), ("20 products", LIST)] {
        criterion.bench_function(&format!("sql: {what}, sqlx alone"), |bencher| {
            bencher.to_async(&rooms.tokio).iter(|| async {
                let rows = sqlx::query(statement).bind(true).fetch_all(&pool).await;
                rows.expect("rows")
            });
        });
        let (database, params) = (rooms.database("products")?, [Value::Boolean(true)]);
        criterion.bench_function(&format!("sql: {what}, through db"), |bencher| {
            bencher.to_async(&rooms.tokio).iter(|| async { database.query(statement, &params).await.expect("rows") });
        });
    }
    let (view, request) = (rooms.view("products")?, request("list-products", &[], Vec::new()));
    calls::handle(criterion, rooms, "sql: 20 products, through the service (fresh instance, to JSON)", &view, &request);
    Ok(())
}

async fn connect(rooms: &Rooms) -> sqlx::Result<SqlitePool> {
    let options = SqliteConnectOptions::new().filename(rooms.database_file("products")).read_only(true);
    SqlitePoolOptions::new().max_connections(1).test_before_acquire(false).connect_with(options).await
}
