#!/usr/bin/env bash
# Starts a demo host with data of its own, logs in, orders, sees the stock fall, deploys, rolls back, and stops it.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(mktemp -d)
url=http://127.0.0.1:${PROVESI_SMOKE_PORT:-18000}
export PROVESI_GATEWAY__LISTEN=${url#http://} PROVESI_ADMIN__LISTEN=127.0.0.1:${PROVESI_SMOKE_ADMIN_PORT:-19000}
export PROVESI_ADMIN=http://$PROVESI_ADMIN__LISTEN PROVESI_DATA=$data
./target/release/provesi serve --demo >"$data/log" 2>&1 &
host=$!
trap 'kill "$host" 2>/dev/null || true; wait "$host" 2>/dev/null || true; rm -rf "$data"' EXIT
fail() { echo "smoke: $*" >&2; tail -n 5 "$data/log" >&2; exit 1; }
for _ in $(seq 300); do curl -fs "$url/health/" >/dev/null && break; sleep 0.1; done
json='Content-Type: application/json'
token() {
    curl -fs "$url/api/auth/login/" -H "$json" -d "{\"username\":\"$1\",\"password\":\"${1}123\"}" |
        sed 's/.*"token":"\([^"]*\)".*/\1/'
}
client=$(token cliente) || fail "cannot log in"
staff=$(token operario)
stock() { curl -fs "$url/api/inventory/Casco%20de%20Seguridad/" -H "Authorization: Bearer $staff" | grep -o '"quantity":[0-9]*' | head -n 1; }
[ "$(stock)" = '"quantity":150' ] || fail "the stock is $(stock)"
curl -fs "$url/api/orders/create/" -H "Authorization: Bearer $client" -H "$json" \
    -d '{"product":"Casco de Seguridad","units":5,"lat":4.71,"lon":-74.07}' | grep -q '"confirmed":true' || fail "the order was not confirmed"
[ "$(stock)" = '"quantity":145' ] || fail "the stock is $(stock) after the order"
./target/release/provesi deploy products target/components/products.wasm >/dev/null || fail "the deploy was refused"
curl -fsD- -o/dev/null "$url/api/products/" | grep -qi '^x-provesi-revision: products@2' || fail "revision 2 does not serve"
./target/release/provesi rollback products >/dev/null || fail "the rollback was refused"
kill "$host" && wait "$host" || fail "the host did not stop with 0"
echo "smoke: ok"
