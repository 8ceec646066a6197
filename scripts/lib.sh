# shellcheck shell=sh
# lib.sh: what the other scripts share; sourced, from the top of the checkout.
#
# As root, PostgreSQL runs as the user postgres (it refuses root); as anybody else, as that user.
# Where postgres cannot enter the checkout (a home directory of root's, say), what it must reach
# lives under /var/lib/auth_service instead, in a folder for this checkout alone.

TOP=$(pwd -P)

say() {
    printf '==> %s\n' "$*"
}

# One line, and out.
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# require_numbers LEAST NAME...: fail where one of these variables is set and no whole number from LEAST on.
require_numbers() {
    least=$1
    shift
    for name in "$@"; do
        value=
        eval "value=\${$name:-$least}"
        case $value in
        *[!0-9]* | ????????????????*) fail "$name takes a number, not '$value'" ;;
        esac
        [ "$value" -ge "$least" ] || fail "$name takes a number from $least on, not '$value'"
    done
}

# shellcheck source=scripts/versions
. scripts/versions

# Whether we build for this major version; and all of them, in words.
is_supported() {
    case " $PG_SUPPORTED " in
    *" $1 "*) ;;
    *) return 1 ;;
    esac
}
supported() {
    printf '%s and %s' "$(printf '%s' "${PG_SUPPORTED% *}" | sed 's/ /, /g')" "${PG_SUPPORTED##* }"
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# Run a command as the user that owns the cluster; as root, in /, since that user may not be able to
# stand here.
as_owner() {
    if is_root; then
        setpriv --reuid=postgres --regid=postgres --init-groups -- env -C / "$@"
    else
        "$@"
    fi
}

# Become such a command, which ends when the shell that started this one does.  For the background:
# its process id is then the command's own, and its session too: Ctrl-C reaches the shell alone, which
# passes it on, and not the command a second time.
exec_as_owner() {
    if is_root; then
        exec setsid setpriv --reuid=postgres --regid=postgres --init-groups --pdeathsig TERM -- env -C / "$@"
    else
        exec setsid setpriv --pdeathsig TERM -- "$@"
    fi
}

# Set PG_CONFIG and PG_BIN; fail where there is no PostgreSQL of a supported version.
find_postgres() {
    if [ -n "${PG_CONFIG:-}" ]; then
        command -v "$PG_CONFIG" >/dev/null || fail "there is no program $PG_CONFIG (PG_CONFIG)"
    fi
    PG_CONFIG=$(scripts/pg_config) || fail "no PostgreSQL ${PG_MAJOR:-} with its development files; run 'make run' or 'make test' to install it"
    PG_BIN=$("$PG_CONFIG" --bindir)
    version=$("$PG_CONFIG" --version)
    PG_MAJOR=$(printf '%s\n' "$version" | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
    is_supported "$PG_MAJOR" || fail "$version is not supported; PostgreSQL $(supported) are (PG_CONFIG=$PG_CONFIG)"
    export PG_CONFIG PG_BIN PG_MAJOR
}

# A short name for this checkout, the same each time.
checkout_id() {
    printf '%s' "$TOP" | cksum | cut -d' ' -f1
}

# Print a folder for state that the owner can reach: the one given, inside the checkout, or its
# stand-in outside.  Makes it.
state_dir() {
    state=$TOP/$1
    mkdir -p "$state" 2>/dev/null || fail "cannot make the folder $state"
    if is_root && ! as_owner test -x "$state"; then
        state=/var/lib/auth_service/$(checkout_id)/$1
        mkdir -p "$state"
        chmod 755 /var/lib/auth_service "/var/lib/auth_service/$(checkout_id)" "$state"
    fi
    printf '%s\n' "$state"
}

# Make a folder that only the owner enters.
owned_dir() {
    mkdir -p "$1"
    chmod 700 "$1"
    if is_root; then
        chown postgres: "$1"
    fi
}

# Make a cluster whose superuser is postgres, trusting whoever reaches its socket; the log is beside it.
make_cluster() {
    as_owner "$PG_BIN/initdb" -D "$1" -U postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
        >"$state/initdb.log" 2>&1 || fail "initdb failed: $(tail -n 1 "$state/initdb.log") (log: $state/initdb.log)"
}

# Print the lines of a server's configuration by which it finds the extension that stage_extension has put below
# this folder.  PostgreSQL 18 has search paths for that, before it a setting of Debian's.
stage_settings() {
    if [ "$PG_MAJOR" -ge 18 ]; then
        printf "extension_control_path = '%s:\$system'\n" "$1$("$PG_CONFIG" --sharedir)"
        printf "dynamic_library_path = '%s:\$libdir'\n" "$1$("$PG_CONFIG" --pkglibdir)"
    else
        printf "extension_destdir = '%s'\n" "$1"
    fi
}

# start_cluster DATA LOG SOCKET OPTIONS: start it, listening on that socket alone, with what is staged in
# $state/stage.
start_cluster() {
    staged=$(stage_settings "$state/stage" | sed 's/^\([a-z_]*\) = /-c \1=/' | tr '\n' ' ')
    as_owner "$PG_BIN/pg_ctl" -D "$1" -l "$2" -w -t 60 \
        -o "-c listen_addresses='' -c unix_socket_directories='$3' $staged $4" \
        ${POSTGRES_PROGRAM:+-p "$POSTGRES_PROGRAM"} start >/dev/null 2>&1 9>&- || fail "PostgreSQL did not start: $(tail -n 1 "$2") (log: $2)"
}

# Install the extension below a folder, and print nothing.
stage_extension() {
    rm -rf "$1"
    mkdir -p "$1"
    make -s install DESTDIR="$1" >/dev/null
    chmod -R a+rX "$1"
}
