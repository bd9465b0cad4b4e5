# Dagster with FluxForge's assets: code server, daemon, webserver and runs are this one image with different commands.
# From the root of the checkout:
#   docker build -f deploy/docker/assets.Dockerfile -t fluxforge-assets .
FROM python:3.11-slim-bookworm AS built
WORKDIR /src
COPY deploy/locks/assets.lock ./
RUN python -m venv /opt/fluxforge \
    && python -m pip install --no-cache-dir uv==0.13.9 \
    && uv pip sync --no-cache --require-hashes --compile-bytecode --python /opt/fluxforge/bin/python assets.lock \
    && uv pip install --no-cache --python /opt/fluxforge/bin/python "setuptools>=80"
COPY LICENSE README.md pyproject.toml ./
COPY fluxforge_collector fluxforge_collector
COPY fluxforge_assets fluxforge_assets
RUN uv pip install --no-cache --no-deps --no-build-isolation --python /opt/fluxforge/bin/python .
# compiled here for any processor of this family, so that no run waits for the compiler; -P: what is installed, not /src
ENV NUMBA_CPU_NAME=generic NUMBA_CACHE_DIR=/opt/fluxforge/numba
RUN mkdir "$NUMBA_CACHE_DIR" && /opt/fluxforge/bin/python -P -m fluxforge_assets.kernels

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --home-dir /data --create-home fluxforge
COPY --from=built --chown=10001 /opt/fluxforge /opt/fluxforge
ENV PATH=/opt/fluxforge/bin:$PATH PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CPU_NAME=generic NUMBA_CACHE_DIR=/opt/fluxforge/numba \
    FLUXFORGE_CONFIG=/etc/fluxforge/fluxforge.yaml DAGSTER_HOME=/opt/dagster
COPY deploy/dagster/server.yaml /opt/dagster/dagster.yaml
COPY deploy/dagster/workspace.yaml /opt/dagster/workspace.yaml
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 3000 4000
CMD ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", "4000", "-m", "fluxforge_assets.definitions"]
