# One container: the server and its MongoDB. What must be kept is in /data.
FROM python:3.11-slim-bookworm

# What the embedded mongod needs beyond the base image.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libcurl4 libssl3 \
    && rm -rf /var/lib/apt/lists/*

# /data is this user's home, so that a new volume belongs to it.
RUN useradd --system --create-home --home-dir /data scfm

WORKDIR /src
# What is locked first: it changes less often than the package.
COPY requirements requirements
RUN pip install --no-cache-dir --require-hashes --requirement requirements/embedded.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

ENV HOST=0.0.0.0 \
    SCFM_DATA_DIR=/data
USER scfm
WORKDIR /data
VOLUME /data
EXPOSE 3000

HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', 3000)}/health\", timeout=4)"]

ENTRYPOINT ["scfm"]
CMD ["serve"]
