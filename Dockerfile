FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN scripts/setup.sh && scripts/components.sh && cargo build --locked --release

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/provesi provesi
COPY --from=build /src/target/release/provesi /usr/local/bin/provesi
COPY --from=build /src/provesi.toml /etc/provesi/provesi.toml
COPY --from=build /src/target/components/*.wasm /etc/provesi/target/components/
USER provesi
# Where every command finds the configuration and the operators' token: docker compose exec provesi provesi status
WORKDIR /etc/provesi
ENV PROVESI_DATA=/var/lib/provesi
VOLUME /var/lib/provesi
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD curl -fs http://localhost:8000/health/services/ || exit 1
ENTRYPOINT ["provesi", "serve"]
