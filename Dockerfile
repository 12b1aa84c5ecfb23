# Berth's image: the agent, the controller and the commands on a node. `make image` builds it (docs/design.md#in-a-pod).
# A digest may follow the tags: --build-arg BASE_IMAGE=docker.io/library/debian:<tag>@sha256:<digest>.
ARG NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim
ARG BASE_IMAGE=docker.io/library/debian:bookworm-20250520-slim

FROM ${NODE_IMAGE} AS build
# Where npm is told of another registry, for a build without the public one (hack/image.sh).
ARG npm_config_userconfig
WORKDIR /build
COPY package.json package-lock.json ./
# No package needs its scripts here; those of the development tools would fetch programs.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY hack/build.ts hack/
COPY src src
# What the program needs of its packages is compiled into it, with their licences beside.
RUN npm run build
# Where the agent, in the node's namespaces, finds the loader and the libraries of the image's programs: by relative links,
# for absolute ones would lead to the node's.
RUN mkdir -p /image/opt/berth /image/usr/local/bin \
  && mv dist /image/opt/berth/ \
  && cp "$(command -v node)" /image/usr/local/bin/node \
  && libraries=$(dirname "$(ldconfig -p | sed -n 's/^.*libc\.so\.6 .* => //p' | head -n 1)") \
  && ln -s "../..$(readlink -f "$libraries")" /image/opt/berth/lib \
  && ln -s "../..$(readlink -f "$(ls /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.* 2>/dev/null | head -n 1)")" /image/opt/berth/ld.so
COPY image/berth /image/usr/local/bin/berth
COPY LICENSE NOTICE /image/opt/berth/

FROM ${BASE_IMAGE}
# ip, to bring up a container's loopback; all else that the agent runs is in the base (src/node/image.ts).
RUN apt-get update -q && apt-get install -q -y --no-install-recommends iproute2 \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* /usr/share/doc/*/changelog* \
  && ln -sfn ../run /var/run
COPY --from=build /image/ /
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=https://example.com/berth
LABEL org.opencontainers.image.title="Berth" \
  org.opencontainers.image.description="Docker's start, as a Kubernetes API: single containers on a node's containerd, declared with kubectl." \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.source="${SOURCE}" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
# The controller needs no more; the agent's Pod asks for root.
USER 65532:65532
ENTRYPOINT ["berth"]
