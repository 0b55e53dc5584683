#!/usr/bin/env bash
# Builds what is missing and serves the demo; prints what to try once it answers.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --release
data=${PROVESI_DATA:-data}
listen=${PROVESI_GATEWAY__LISTEN:-0.0.0.0:8000}
url=http://localhost:${listen##*:}
(
    for _ in $(seq 300); do
        curl -fs "$url/health/" >/dev/null 2>&1 && break
        sleep 0.1
    done
    cat <<TEXT

  Provesi serves $url (Ctrl-C stops it). Demo users: admin/admin123, operario/operario123, cliente/cliente123. Try:

  curl $url/api/products/
  TOKEN=\$(curl -s $url/api/auth/login/ -H 'Content-Type: application/json' -d '{"username":"cliente","password":"cliente123"}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
  curl $url/api/orders/create/ -H "Authorization: Bearer \$TOKEN" -H 'Content-Type: application/json' -d '{"product":"Casco de Seguridad","units":5,"lat":4.71,"lon":-74.07}'

TEXT
) &
exec ./target/release/provesi serve --data "$data" --demo
