# SPDX-License-Identifier: MIT
#
# Two images on one Debian: target `db` is PostgreSQL with the extension, target `shim` the HTTP
# front.  PG_MAJOR is the PostgreSQL that the chosen Debian ships: 17 for trixie, 15 for bookworm.
#
#   docker build --target db --build-arg DEBIAN=bookworm --build-arg PG_MAJOR=15 .

ARG DEBIAN=trixie
ARG PG_MAJOR=17

# ---- What all stages stand on ---------------------------------------------------------------------

FROM debian:${DEBIAN}-slim AS base
ARG PG_MAJOR
# No cluster is made by installing PostgreSQL: an image ships no data.
RUN set -eu; \
    apt-get -qq update; \
    shipped=$(apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p'); \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*; \
    if [ "$shipped" != "$PG_MAJOR" ]; then \
        . /etc/os-release; \
        echo "Dockerfile: $PRETTY_NAME ships PostgreSQL $shipped, not $PG_MAJOR: set the build arguments DEBIAN and PG_MAJOR to trixie and 17, or to bookworm and 15" >&2; \
        exit 1; \
    fi; \
    mkdir -p /etc/postgresql-common/createcluster.d; \
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/image.conf

# ---- Compiler and make live and die here ----------------------------------------------------------

FROM base AS build
ARG PG_MAJOR
ARG DEBIAN_FRONTEND=noninteractive
WORKDIR /src
RUN apt-get -qq update && apt-get -qq install --no-install-recommends make >/dev/null
COPY scripts scripts
RUN scripts/bootstrap --packages build
COPY . .
RUN make -s -j"$(nproc)" all && make -s install DESTDIR=/out

# ---- The files of the page /docs -------------------------------------------------------------------

FROM base AS viewer
COPY scripts/viewer /src/scripts/
RUN /src/scripts/viewer /out/usr/share/auth-service/swagger-ui

# ---- db: PostgreSQL, the extension, the command for init-db ---------------------------------------

FROM base AS db
ARG PG_MAJOR
ARG DEBIAN_FRONTEND=noninteractive
# The numbers are fixed, since volumes outlive images.  ssl-cert, a dependency, makes a key when it is
# installed: the same in every container is worse than none.  Two packages bring tests.  A tmpfs over
# the socket's folder takes its mode, and not its owner.
RUN set -eu; \
    groupadd --gid 999 postgres; \
    useradd --uid 999 --gid postgres --home-dir /var/lib/postgresql --shell /bin/sh postgres; \
    apt-get -qq update; \
    apt-get -qq install --no-install-recommends "postgresql-$PG_MAJOR" libcivetweb1 '^libjwt[0-9]+$' >/dev/null; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt; \
    rm -rf /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem; \
    rm -rf "/usr/lib/postgresql/$PG_MAJOR/lib/pgxs" /usr/share/postgresql-common/t; \
    install -d -m 700 -o postgres -g postgres /var/lib/postgresql; \
    install -d -m 750 -o postgres -g postgres /var/lib/auth_service; \
    install -d -m 1777 /run/postgresql
COPY --from=build /out /
COPY docker/db-entrypoint /usr/local/bin/
ENV PG_MAJOR=${PG_MAJOR} PATH=/usr/lib/postgresql/${PG_MAJOR}/bin:/usr/local/bin:/usr/bin:/bin
VOLUME /var/lib/postgresql
USER 999:999
EXPOSE 5432
# PostgreSQL's word for "now, but cleanly"; on SIGTERM it waits for its clients to leave.
STOPSIGNAL SIGINT
# Over TCP, on which nobody listens before everything is made.
HEALTHCHECK --interval=5s --timeout=5s --start-period=300s --retries=3 \
    CMD pg_isready -q -h 127.0.0.1 -p "${POSTGRES_PORT:-5432}"
ENTRYPOINT ["db-entrypoint"]
CMD ["postgres"]

# ---- shim: the command, its two libraries and the page --------------------------------------------

FROM base AS shim
ARG DEBIAN_FRONTEND=noninteractive
# Its group is that of postgres in the image db, which writes the password that the shim reads.
RUN set -eu; \
    groupadd --gid 999 postgres; \
    useradd --uid 10001 --gid postgres --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin auth_service; \
    apt-get -qq update; \
    apt-get -qq install --no-install-recommends libpq5 libcivetweb1 >/dev/null; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt /etc/postgresql-common; \
    install -d -m 750 -o 999 -g postgres /var/lib/auth_service
COPY --from=build /out/usr/local/bin/auth-service /usr/local/bin/
COPY --from=viewer /out /
COPY docker/shim-entrypoint docker/shim-health /usr/local/bin/
ENV AUTH_SERVICE_HOST=0.0.0.0
USER 10001:999
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["shim-health"]
ENTRYPOINT ["shim-entrypoint"]
CMD ["serve"]
