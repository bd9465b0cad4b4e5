# The collector: no Dagster, no polars inside. From the root of the checkout:
#   docker build -f deploy/docker/collector.Dockerfile -t fluxforge-collector .
FROM python:3.11-slim-bookworm AS built
WORKDIR /src
COPY deploy/locks/collector.lock ./
RUN python -m venv /opt/fluxforge \
    && python -m pip install --no-cache-dir uv==0.13.9 \
    && uv pip sync --no-cache --require-hashes --compile-bytecode --python /opt/fluxforge/bin/python collector.lock \
    && uv pip install --no-cache --python /opt/fluxforge/bin/python "setuptools>=80"
COPY LICENSE README.md pyproject.toml ./
COPY fluxforge_collector fluxforge_collector
COPY fluxforge_assets fluxforge_assets
# the package is one; what the assets need is not installed, and the collector imports none of it
RUN uv pip install --no-cache --no-deps --no-build-isolation --python /opt/fluxforge/bin/python .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --home-dir /data --create-home fluxforge
COPY --from=built /opt/fluxforge /opt/fluxforge
ENV PATH=/opt/fluxforge/bin:$PATH PYTHONUNBUFFERED=1 \
    FLUXFORGE_CONFIG=/etc/fluxforge/fluxforge.yaml FLUXFORGE__METRICS__HOST=0.0.0.0
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 9108
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9108/livez', timeout=4)"]
CMD ["fluxforge", "collect"]
